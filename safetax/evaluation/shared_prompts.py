"""The prompts of one step that the nodes of a job answer together: one queue, kept as files that all nodes see.

A node takes a prompt by making a file with its name, which only one can do, and appends what it answers to a file of
its own. The first node gathers the others' files. The folder of what is taken goes by the first node's hold on the
step, so that what an earlier attempt took and never answered is free again.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from safetax.store.lease import heartbeat

GLANCE = 2.0
"""Seconds between two looks at what the others have answered."""
Name = tuple[str, int]
"""A prompt's id and which of its repeats."""


@dataclass
class SharedPrompts:
    """One node's side of the queue of a step.

    Args:
        scratch: the step's scratch folder.
        hold: the first node's hold on the step (:func:`safetax.store.locks.lease_token`).
        nodes: how many nodes may be at work.
    """

    scratch: Path
    hold: str
    nodes: int
    mine: set[Name] = field(default_factory=set)
    _read: dict[Path, int] = field(default_factory=dict)
    _looked: float = 0.0
    _news: float = field(default_factory=time.monotonic)
    _seen: int = 0

    @property
    def taken(self) -> Path:
        """Folder with a file for each prompt that a node has taken."""
        return self.scratch / f"taken-{self.hold}"

    def open(self) -> None:
        """Let the nodes begin to take prompts."""
        self.taken.mkdir()

    @property
    def is_open(self) -> bool:
        """Whether the nodes may take prompts."""
        return self.taken.is_dir()

    def claim(self, name: Name) -> bool:
        """Whether a prompt is this node's: it is already, or no other node took it."""
        if name not in self.mine:
            digest = hashlib.sha256(json.dumps(name).encode()).hexdigest()[:24]
            try:
                os.close(os.open(self.taken / digest, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            except (FileExistsError, FileNotFoundError):  # the whole folder goes when the step is done
                return False
            self.mine.add(name)
        return True

    @property
    def own_file(self) -> Path:
        """Where a node that is not the first writes its responses."""
        return self.scratch / f"responses-{self.hold}-{socket.gethostname()}-{os.getpid()}.jsonl"

    def news(self) -> Iterator[bytes]:
        """Yield the whole lines that other nodes have written since the last look, if that was a while ago."""
        if time.monotonic() - self._looked < GLANCE:
            return
        self._looked = time.monotonic()
        touched = 0
        for path in sorted(self.scratch.glob(f"responses-{self.hold}-*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                whole, _, _ = file.read().rpartition(b"\n")
                touched = max(touched, os.fstat(file.fileno()).st_mtime_ns)
            if whole:
                self._read[path] = self._read.get(path, 0) + len(whole) + 1
                yield from whole.split(b"\n")
        if touched != self._seen:
            self._seen, self._news = touched, time.monotonic()

    def silent(self) -> float:
        """Return for how many seconds no other node has given a sign of life."""
        return time.monotonic() - self._news

    def alive(self) -> AbstractContextManager[None]:
        """Touch this node's own file until the block ends."""
        return heartbeat(lambda: os.utime(self.own_file))
