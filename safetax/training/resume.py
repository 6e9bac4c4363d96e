"""Checkpoints of an unfinished training: which of them is whole, who may resume it, and what the training cost so far.

They lie in the step's scratch folder, optimizer states included, and go with it when the step is finished.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetax.errors import UserError
from safetax.store.manifest import read_json, write_json
from safetax.training.batches import Work

COMPLETE = "complete"
"""File in a training checkpoint's folder, written last."""
ATTEMPTS = "attempts.json"
"""File in the scratch folder: what all attempts cost, that of steps which were lost and done again included."""


@dataclass(frozen=True)
class Layout:
    """How optimizer states are spread: a checkpoint can be resumed by the same layout alone."""

    ranks: int
    zero: int = 0
    offload: str = "none"

    @staticmethod
    def of(runtime: dict[str, Any]) -> Layout:
        """Return the layout that runtime settings ask for."""
        offload = "none" if runtime["offload"] == "auto" or not runtime["zero"] else runtime["offload"]
        return Layout(runtime["devices"], runtime["zero"], offload)


@dataclass
class Attempts:
    """What the attempts at a training cost so far, steps included that were lost and done again."""

    number: int = 0
    train_seconds: float = 0.0
    startup_seconds: float = 0.0

    @staticmethod
    def read(scratch: Path) -> Attempts:
        """Return what earlier attempts noted."""
        return Attempts(**(read_json(scratch / ATTEMPTS) or {}))

    def write(self, scratch: Path) -> None:
        """Note it down."""
        write_json(scratch / ATTEMPTS, asdict(self))


@dataclass(frozen=True)
class Resumed:
    """A training checkpoint to go on from, and what had led to it: seconds of training and what was trained on."""

    path: Path
    seconds: float = 0.0
    work: Work = field(default_factory=Work)

    @property
    def step(self) -> int:
        """The optimiser step that it was written after."""
        return int(self.path.name.rsplit("-", 1)[1])


def mark_complete(directory: Path, step: int, layout: Layout, seconds: float, work: Work) -> None:
    """Mark a training checkpoint as whole and drop the older ones.

    Args:
        directory: folder of the training checkpoints.
        step: the optimiser step that it was written after.
        layout: how its optimizer states are spread.
        seconds: of training that led to it.
        work: what was trained on, by all ranks together.
    """
    newest = directory / f"checkpoint-{step}"
    write_json(newest / COMPLETE, {**asdict(layout), "seconds": seconds, **asdict(work)})
    for path in directory.glob("checkpoint-*"):
        if path != newest:
            shutil.rmtree(path, ignore_errors=True)


def last_checkpoint(directory: Path, layout: Layout) -> Resumed | None:
    """Return the newest whole training checkpoint of an unfinished step, or None.

    Raises:
        UserError: it was written with another layout, which its optimizer states cannot be read by.
    """
    whole = {path: noted for path in directory.glob("checkpoint-*") if (noted := read_json(path / COMPLETE))}
    if not whole:
        return None
    newest = max(whole, key=lambda path: int(path.name.rsplit("-", 1)[1]))
    noted = whole[newest]
    before = Layout(noted["ranks"], noted.get("zero", layout.zero), noted.get("offload", layout.offload))
    if before != layout:
        if before.ranks != layout.ranks:
            how, now = f"by {before.ranks} rank{'s' * (before.ranks > 1)}", f"{layout.ranks}"
            keys = f"runtime.devices={before.ranks}"
        elif before.zero != layout.zero:
            how, now, keys = f"with ZeRO stage {before.zero}", f"stage {layout.zero}", f"runtime.zero={before.zero}"
        else:
            how, now, keys = f"with offload={before.offload}", layout.offload, f"runtime.offload={before.offload}"
        raise UserError(
            f"{newest} was written {how} and cannot be resumed on {now}: set {keys} to go on, or remove that folder to "
            "start this training again."
        )
    return Resumed(newest, noted.get("seconds", 0.0), Work(noted.get("tokens", 0), noted.get("squares", 0)))
