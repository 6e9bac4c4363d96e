"""Training checkpoints: which of them is whole, who may resume it, and what the unfinished training cost so far.

They lie in the step's scratch folder, optimizer states included, and go with it when the step is finished.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetax.errors import UserError
from safetax.store.manifest import read_json, write_json
from safetax.store.shapes import NUMBER
from safetax.training.batches import TokenCount

COMPLETE = "complete"
"""File in a training checkpoint's folder, written last."""
ATTEMPTS = "attempts.json"
"""File in the scratch folder with the cost of all attempts."""
ATTEMPTS_SHAPE = {"number": int, "train_seconds": NUMBER, "startup_seconds": NUMBER}
COMPLETE_SHAPE = {
    "ranks": int,
    "zero?": int,
    "offload?": str,
    "seconds?": NUMBER,
    "tokens?": int,
    "squares?": int,
}
"""Shapes of these files."""


@dataclass(frozen=True)
class Layout:
    """How optimizer states are sharded: only the same layout can resume a training checkpoint."""

    ranks: int
    zero: int = 0
    offload: str = "none"

    @staticmethod
    def of(runtime: dict[str, Any]) -> Layout:
        """Return the layout that runtime settings ask for."""
        return Layout(runtime["devices"], runtime["zero"], runtime["offload"] if runtime["zero"] else "none")

    def settings(self) -> dict[str, Any]:
        """Return the runtime settings that ask for it."""
        return {"runtime.devices": self.ranks, "runtime.zero": self.zero, "runtime.offload": self.offload}


@dataclass
class Attempts:
    """Cost of all attempts at a training so far, that of optimiser steps which were lost and done again included."""

    number: int = 0
    train_seconds: float = 0.0
    startup_seconds: float = 0.0

    @staticmethod
    def read(scratch: Path) -> Attempts:
        """Return the record of earlier attempts."""
        return Attempts(**(read_json(scratch / ATTEMPTS, ATTEMPTS_SHAPE) or {}))

    def write(self, scratch: Path) -> None:
        """Record it in the scratch folder."""
        write_json(scratch / ATTEMPTS, asdict(self))


@dataclass(frozen=True)
class ResumePoint:
    """A training checkpoint to resume from, and what had led to it: seconds of training and the tokens of all ranks."""

    path: Path
    seconds: float = 0.0
    token_count: TokenCount = field(default_factory=TokenCount)

    @property
    def step(self) -> int:
        """Number of the optimiser step that it was written after."""
        return int(self.path.name.rsplit("-", 1)[1])


def mark_complete(directory: Path, step: int, layout: Layout, seconds: float, token_count: TokenCount) -> None:
    """Mark a training checkpoint as whole and drop the older ones.

    Args:
        directory: folder of the training checkpoints.
        step: the optimiser step that it was written after.
        layout: how its optimizer states are sharded.
        seconds: of training that led to it.
        token_count: tokens of all ranks that led to it.
    """
    newest = directory / f"checkpoint-{step}"
    write_json(newest / COMPLETE, {**asdict(layout), "seconds": seconds, **asdict(token_count)})
    for path in directory.glob("checkpoint-*"):
        if path != newest:
            shutil.rmtree(path, ignore_errors=True)


def last_checkpoint(directory: Path, layout: Layout) -> ResumePoint | None:
    """Return the newest whole training checkpoint of an unfinished step, or None.

    Raises:
        UserError: it was written with another layout, which its optimizer states cannot be read by.
    """
    whole = {
        path: recorded
        for path in directory.glob("checkpoint-*")
        if (recorded := read_json(path / COMPLETE, COMPLETE_SHAPE))
    }
    if not whole:
        return None
    newest = max(whole, key=lambda path: int(path.name.rsplit("-", 1)[1]))
    recorded = whole[newest]
    before = Layout(recorded["ranks"], recorded["zero"], recorded["offload"])
    if before != layout:
        written, now = before.settings(), layout.settings()
        changed = [key for key in written if written[key] != now[key]]
        raise UserError(
            f"{newest} was written with {_assigned(written, changed)} and cannot be resumed with "
            f"{_assigned(now, changed)}: set {_assigned(written, changed)} to go on, or remove that folder to start "
            "this training again."
        )
    return ResumePoint(newest, recorded["seconds"], TokenCount(recorded["tokens"], recorded["squares"]))


def _assigned(settings: dict[str, Any], keys: list[str]) -> str:
    return ", ".join(f"{key}={settings[key]}" for key in keys)
