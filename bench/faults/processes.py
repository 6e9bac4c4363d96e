"""Commands that are started and waited for, and the processes that these have started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.faults.graphs import HERE

PATIENCE = 600.0
"""Seconds after which a command counts as one that never ends."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def traceback(self) -> bool:
        """Whether an error of ours was seen by the user."""
        return "Traceback (most recent call last)" in self.out + self.err

    @property
    def message(self) -> str:
        """The error or the warning that it told, on one line, or nothing."""
        said = self.err.partition("Error: ")[2] or self.out.partition("Warning: ")[2]
        return " ".join(said.split())


def start(asked: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the command; what it says goes to files in a folder, so that it never waits for us."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        return subprocess.Popen(
            [sys.executable, "-m", "safetax", *asked],
            stdout=out,
            stderr=err,
            text=True,
            env={**os.environ, **(environment or {})},
            cwd=HERE.parents[1],
        )


def end(process: subprocess.Popen[str], folder: Path) -> Ended:
    """Wait for a command; one that never ends is killed, and its code is None's stand-in 99."""
    try:
        code = process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        for pid in [*descendants(process.pid), process.pid]:
            send(pid, signal.SIGKILL)
        process.wait()
        code = 99
    return Ended(code, (folder / "out").read_text(errors="replace"), (folder / "err").read_text(errors="replace"))


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that these have."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, path.read_text().split()):
                found += [child, *descendants(child)]
    return found


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def gone(pids: list[int], seconds: float = 60.0) -> bool:
    """Whether all processes end in a while."""
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
