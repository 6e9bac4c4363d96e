"""What lies in an outputs folder: its steps, whatever their state, and the runs that use them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetax.config.messages import nearest
from safetax.errors import UserError
from safetax.run.slurm.record import FOLDER, JOBS
from safetax.store.locks import owner
from safetax.store.manifest import STEP, STEP_SHAPE, read_json, read_manifest
from safetax.store.shapes import EACH
from safetax.store.status import Store
from safetax.store.step import VERSIONS

MOST_NAMED = 5
RUN_SHAPE = {"steps": [str], "overrides?": [str]}
SUBMISSION_SHAPE = {"runs": {EACH: [str]}, "overrides?": {EACH: [str]}}
"""Shapes of what is read of a run's record, and of a submission's."""


@dataclass(frozen=True)
class RunRecord:
    """A run on disk, or one that was submitted to a cluster; ``steps`` is None where its record cannot be read."""

    name: str
    folder: Path
    steps: tuple[str, ...] | None
    overrides: tuple[str, ...]


class StepIndex:
    """The steps of an outputs folder, by key, and the runs that use them."""

    def __init__(self, outputs: Path) -> None:
        if not outputs.is_dir():
            raise UserError(f"--outputs {outputs}: there is no such folder; name the outputs folder of your runs.")
        self.outputs = outputs
        self.store = Store(outputs)
        self.runs = read_runs(outputs)
        self.folders = {f"{path.parent.name}/{path.name}": path for path in step_folders(outputs)}
        self.known = self.folders.keys() | {key for run in self.runs for key in run.steps or () if key.count("/") == 1}

    def find(self, text: str) -> str:
        """Return the key that a user means.

        Raises:
            UserError: no step, or several, begin so.
        """
        parts = text.rstrip("/").split("/")
        wanted = "/".join(parts[-2:])
        if wanted in self.known:
            return wanted
        found = sorted(key for key in self.known if key.startswith(wanted) or key.split("/")[1].startswith(wanted))
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(f"{text}: {len(found)} steps begin so ({named(found)}); write more of it.")
        names = [*self.known, *(key.split("/")[1] for key in self.known)]
        raise UserError(f"{text}: there is no such step in {self.outputs}.{nearest(wanted, names)}")

    def frozen(self, key: str) -> dict[str, Any]:
        """Return a step's manifest or, where it is not finished, its description; empty where it has neither."""
        directory = self.store.directory(key)
        return read_manifest(directory) or read_json(directory / STEP, STEP_SHAPE) or {}

    def title(self, key: str) -> str:
        """Return what a step is in words, as far as its folder says."""
        return str(self.frozen(key).get("title", "?"))

    def state(self, key: str) -> str:
        """Return the state of a step; a step that is not complete and has its lock held is running."""
        state = self.store.status(key).state
        return "running" if state != "complete" and owner(self.store.directory(key)) else state

    def used_by(self, key: str) -> list[RunRecord]:
        """Return the runs that use a step."""
        return [run for run in self.runs if key in (run.steps or ())]


def step_folders(outputs: Path) -> Iterator[Path]:
    """Yield the folders of the steps in an outputs folder, whatever their state, sorted."""
    for kind in sorted(VERSIONS):
        for path in sorted((outputs / kind).glob("*")):
            if re.fullmatch(r"[0-9a-f]{12}", path.name) and path.is_dir():
                yield path


def read_runs(outputs: Path) -> list[RunRecord]:
    """Return the runs of an outputs folder, sorted by name."""
    found: dict[str, RunRecord] = {}
    for path in sorted(outputs.glob("runs/*/run.json")):
        record = read_json(path, RUN_SHAPE) or {}
        steps = tuple(record["steps"]) if record else None
        overrides = tuple(record.get("overrides", ()))
        found[path.parent.name] = RunRecord(path.parent.name, path.parent, steps, overrides)
    for record in submissions(outputs).values():
        for name, steps in record["runs"].items():
            overrides = tuple(record.get("overrides", {}).get(name, ()))
            found.setdefault(name, RunRecord(name, outputs / "runs" / name, tuple(steps), overrides))
    return sorted(found.values(), key=lambda run: run.name)


def submissions(outputs: Path) -> dict[Path, dict[str, Any]]:
    """Return the records of what was submitted to a cluster; their runs need their steps before they are whole.

    Raises:
        UserError: one cannot be read, so that what its runs need is not known.
    """
    found = {}
    for path in (path for kind in ("runs", "sweeps") for path in sorted(outputs.glob(f"{kind}/*/{FOLDER}/{JOBS}"))):
        found[path] = read_json(path, SUBMISSION_SHAPE)
        if found[path] is None:
            raise UserError(
                f"{path} cannot be read, so which steps its jobs need is not known; give the command that submitted "
                "them again, or remove the file if none of them is to run."
            )
    return found


def named(names: Sequence[str]) -> str:
    """Return some of the names, for a message."""
    return ", ".join(names[:MOST_NAMED]) + ", ..." * (len(names) > MOST_NAMED)


def size_of(directory: Path) -> int:
    """Return the bytes of all files below a folder."""
    total = 0
    for root, _, names in os.walk(directory):
        for name in names:
            try:
                total += (Path(root) / name).lstat().st_size
            except FileNotFoundError:  # a worker is at it
                continue
    return total
