"""Which steps and runs of an outputs folder can go, and their removal."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetax.config.messages import nearest
from safetax.errors import UserError
from safetax.run.slurm.record import FOLDER, JOBS
from safetax.store.locks import lock_path, owner, try_locked
from safetax.store.manifest import MANIFEST, SCRATCH, STEP, read_json, read_manifest, write_json
from safetax.store.step import VERSIONS

MOST_NAMED = 5


@dataclass(frozen=True)
class RunRecord:
    """A run on disk, or one that was submitted to a cluster; ``steps`` is None where its record cannot be read."""

    name: str
    folder: Path
    steps: tuple[str, ...] | None
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Removable:
    """Something that can go: a run, a step, or what a finished step left of its work."""

    what: Literal["run", "step", "scratch"]
    key: str
    path: Path
    title: str
    reason: str
    size: int


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
        record = read_json(path) or {}
        steps = record.get("steps")
        known = tuple(map(str, steps)) if isinstance(steps, list) else None
        overrides = tuple(map(str, record.get("overrides") or ()))
        found[path.parent.name] = RunRecord(path.parent.name, path.parent, known, overrides)
    for record in _submissions(outputs).values():
        for name, steps in record["runs"].items():
            overrides = tuple(record.get("overrides", {}).get(name, ()))
            found.setdefault(name, RunRecord(name, outputs / "runs" / name, tuple(steps), overrides))
    return sorted(found.values(), key=lambda run: run.name)


def _submissions(outputs: Path) -> dict[Path, dict[str, Any]]:
    """Return the records of what was submitted to a cluster; their runs need their steps before they are whole."""
    paths = [path for kind in ("runs", "sweeps") for path in sorted(outputs.glob(f"{kind}/*/{FOLDER}/{JOBS}"))]
    found = {path: read_json(path) for path in paths}
    return {path: record for path, record in found.items() if record is not None}


def dropped_runs(runs: list[RunRecord], keep: Collection[str], drop: Collection[str]) -> list[RunRecord]:
    """Return the runs that are to go: those in ``drop``, or all but those in ``keep`` where that names any.

    Raises:
        UserError: there is no such run.
    """
    names = [run.name for run in runs]
    for name in [*keep, *drop]:
        if name not in names:
            known = ", ".join(names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "") if names else "none"
            raise UserError(f"run {name}: there is no such run.{nearest(name, names)} Runs here: {known}.")
    return [run for run in runs if run.name in drop or (keep and run.name not in keep)]


def find_removable(outputs: Path, runs: list[RunRecord], dropped: list[RunRecord]) -> list[Removable]:
    """Return what can go when some runs are dropped: they, and all that no other run refers to.

    Raises:
        UserError: a run that is kept has a record that cannot be read, so that what it needs is not known.
    """
    needed: set[str] = set()
    for run in runs:
        if run not in dropped:
            if run.steps is None:
                raise UserError(
                    f"{run.folder / 'run.json'} cannot be read, so what it needs is not known; run it again, or drop "
                    f"it: --drop-run {run.name}"
                )
            needed.update(run.steps)
    removable = [Removable("run", run.name, run.folder, "", "dropped", size_of(run.folder)) for run in dropped]
    folders = {f"{path.parent.name}/{path.name}": path for path in step_folders(outputs)}
    needed = _with_inputs(needed, folders)
    for key, path in folders.items():
        title = title_of(path)
        finished = (path / MANIFEST).exists()
        if not finished:
            removable.append(Removable("step", key, path, title, "unfinished", size_of(path)))
        elif key not in needed:
            removable.append(Removable("step", key, path, title, "no run needs it", size_of(path)))
        elif (path / SCRATCH).is_dir():
            left = path / SCRATCH
            removable.append(
                Removable("scratch", f"{key}/{SCRATCH}", left, title, "finished without it", size_of(left))
            )
    return removable


def _with_inputs(keys: set[str], folders: dict[str, Path]) -> set[str]:
    """Return steps and all that they were made from."""
    found: set[str] = set()
    pending = list(keys)
    while pending:
        key = pending.pop()
        if key not in found:
            found.add(key)
            manifest = read_manifest(folders[key]) if key in folders else None
            pending += [entry["step"] for entry in (manifest or {"inputs": {}})["inputs"].values()]
    return found


def remove(removable: Removable) -> str | None:
    """Remove a run, a step or what was left of it; returns who is at the step, where it had to be left alone."""
    if removable.what == "run":
        (removable.path / "run.json").unlink(missing_ok=True)
        _remove_tree(removable.path)
        for path, record in _submissions(removable.path.parent.parent).items():
            if record["runs"].pop(removable.key, None) is not None:
                write_json(path, record)
        return None
    step = removable.path.parent if removable.what == "scratch" else removable.path
    with try_locked(step) as held:
        if not held:
            return owner(step) or "another process"
        if removable.what == "step" and not step.is_symlink():
            (step / MANIFEST).unlink(missing_ok=True)  # first: no half of a step ever counts as complete
        _remove_tree(removable.path)
        if removable.what == "step":
            lock_path(step).unlink(missing_ok=True)  # still held: whoever waits for it sees that it is gone
    return None


def _remove_tree(path: Path) -> None:
    """Remove a folder, or the link to one: what it leads to may be another's."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def title_of(directory: Path) -> str:
    """Return what a step is in words, as far as its folder says."""
    frozen: dict[str, Any] = read_json(directory / STEP) or read_json(directory / MANIFEST) or {}
    return str(frozen.get("title", "?"))


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
