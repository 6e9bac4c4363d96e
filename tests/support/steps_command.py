"""Calls of ``python -m safetax.steps`` in tests, in this process and in one of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from safetax.store.status import Store
from tests.support.tiny_steps import (
    ROOT,
)


@dataclass
class Told:
    code: int
    out: str
    err: str


Command = Callable[..., Told]


def apart(store: Store, *arguments: str, answer: str | None = "") -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own; no answer: its standard input is closed."""
    return subprocess.run(
        [sys.executable, "-m", "safetax.steps", *arguments, "--outputs", str(store.root)],
        cwd=ROOT,
        input=answer,
        capture_output=True,
        text=True,
        timeout=60,
    )


def all_files(store: Store) -> dict[str, bytes]:
    return {
        str(path.relative_to(store.root)): path.read_bytes()
        for path in sorted(store.root.rglob("*"))
        if path.is_file() and path.parent.name != "locks"
    }
