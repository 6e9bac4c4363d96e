"""A page of docs as something to follow: the files that it names, and the commands that it gives."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.places import ROOT

DOCS = ROOT / "docs"
_FILE = re.compile(r"^`([\w./-]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Page:
    """A page's files by name, in its order, and its commands."""

    name: str
    text: str
    files: dict[str, str]
    commands: list[str]

    def write(self, folder: Path) -> None:
        """Write the page's files below a folder."""
        for name, text in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")


def read_page(name: str) -> Page:
    """Return a page of docs."""
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    return Page(name, text, dict(_FILE.findall(text)), [block.strip() for block in _COMMAND.findall(text)])


def run(folder: Path, command: str, *more: str) -> str:
    """Run a command of a page in a folder and return what it prints."""
    program, *arguments = shlex.split(command)
    assert program == "python"
    done = subprocess.run(
        [sys.executable, *arguments, *more],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
