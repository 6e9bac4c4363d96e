"""Which steps and runs of an outputs folder can go, and their removal: ``python -m safetax.steps prune``."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from safetax.config.messages import nearest
from safetax.errors import UserError
from safetax.formatting import bytes_in_words
from safetax.run.step_index import RunRecord, StepIndex, named, size_of, submissions
from safetax.run.terminal import add_row, plain_table, say
from safetax.store.atomic import discard
from safetax.store.claims import living
from safetax.store.locks import exclusive_use, lock_path, owner, try_locked
from safetax.store.manifest import MANIFEST, SCRATCH, read_json, sources, write_json


@dataclass(frozen=True)
class Removable:
    """Something that can go: a run, a step, or what a finished step left of its work."""

    what: Literal["run", "step", "scratch"]
    key: str
    path: Path
    title: str
    reason: str
    size: int


def dropped_runs(runs: list[RunRecord], keep: Collection[str], drop: Collection[str]) -> list[RunRecord]:
    """Return the runs that are to go: those in ``drop``, or all but those in ``keep`` where that names any.

    Raises:
        UserError: there is no such run.
    """
    names = [run.name for run in runs]
    for name in [*keep, *drop]:
        if name not in names:
            known = f"Runs here: {named(names) or 'none'}."
            raise UserError(f"run {name}: there is no such run.{nearest(name, names)} {known}")
    return [run for run in runs if run.name in drop or (keep and run.name not in keep)]


def find_removable(index: StepIndex, dropped: list[RunRecord]) -> list[Removable]:
    """Return what can go when some runs are dropped: they, and all that no other run refers to.

    Raises:
        UserError: a run that is kept has a record that cannot be read, so that what it needs is not known.
    """
    needed: set[str] = set()
    for run in index.runs:
        if run not in dropped:
            if run.steps is None:
                raise UserError(
                    f"{run.folder / 'run.json'} cannot be read, so what it needs is not known; run it again, or drop "
                    f"it: --drop-run {run.name}"
                )
            needed.update(run.steps)
    removable = [Removable("run", run.name, run.folder, "", "dropped", size_of(run.folder)) for run in dropped]
    needed = _with_inputs(needed, index)
    for key, path in index.folders.items():
        title = index.title(key)
        if not (path / MANIFEST).exists():
            removable.append(Removable("step", key, path, title, "unfinished", size_of(path)))
        elif key not in needed:
            removable.append(Removable("step", key, path, title, "no run needs it", size_of(path)))
        elif (left := path / SCRATCH).is_dir():
            scratch = f"{key}/{SCRATCH}"
            removable.append(Removable("scratch", scratch, left, title, "finished without it", size_of(left)))
    return removable


def _with_inputs(keys: set[str], index: StepIndex) -> set[str]:
    """Return steps and all that they were made from."""
    found: set[str] = set()
    pending = list(keys)
    while pending:
        key = pending.pop()
        if key not in found:
            found.add(key)
            pending += sources(index.frozen(key)).values()
    return found


def remove(removable: Removable) -> str | None:
    """Remove a run, a step or what was left of it; returns who is at the step, where it had to be left alone."""
    if removable.what == "run":
        discard(removable.path / "run.json")
        discard(removable.path)
        for path, record in submissions(removable.path.parent.parent).items():
            if record["runs"].pop(removable.key, None) is not None:
                write_json(path, record)
        return None
    step = removable.path.parent if removable.what == "scratch" else removable.path
    with try_locked(step) as held:
        if not held:
            return owner(step) or "another process"
        if removable.what == "step" and not step.is_symlink():
            discard(step / MANIFEST)  # first: no half of a step ever counts as complete
        discard(removable.path)
        if removable.what == "step":
            lock_path(step).unlink(missing_ok=True)  # still held: whoever waits for it sees that it is gone
    return None


def prune(index: StepIndex, chosen: argparse.Namespace, console: Console) -> int:
    """Remove what no kept run refers to; returns 1 where it was not to be."""

    removable = find_removable(index, dropped_runs(index.runs, chosen.keep_run, chosen.drop_run))
    if not removable:
        say(console, f"Nothing to remove in {index.outputs}: its runs need all of its steps.")
        return 0
    table = plain_table("", "what", "what it is", "why", ">size")
    for entry in removable:
        held = entry.what == "step" and owner(entry.path)
        reason = f"stays: {held} is at it" if held else entry.reason
        add_row(table, entry.what, entry.key, entry.title, reason, bytes_in_words(entry.size))
    console.print(table)
    total = bytes_in_words(sum(entry.size for entry in removable))
    say(console, f"{len(removable)} to remove, {total}.")
    dropped = {entry.key for entry in removable if entry.what == "run"}
    for sweep in sorted(index.outputs.glob("sweeps/*/sweep.json")):
        if dropped & set((read_json(sweep, {"runs": [str]}) or {}).get("runs", ())):
            say(console, f"The sweep {sweep.parent} names such a run; its report stays and cannot be made again.")
    if chosen.dry_run:
        say(console, "Nothing was removed (--dry-run).")
        return 0
    if not chosen.yes and not confirmed():
        say(console, "Nothing was removed.")
        return 1
    with exclusive_use(index.outputs) as free:
        if not free:
            raise UserError(f"A run is at work in {index.outputs} and counts on its steps; prune when it is done.")
        if waiting := living(index.outputs):
            jobs = sorted(set(waiting.values()))
            raise UserError(
                f"{len(jobs)} jobs of the cluster ({named(jobs)}) are to make steps in "
                f"{index.outputs} and count on others there; prune when they have ended, or cancel them."
            )
        # Again, since a run may have ended while the question stood.
        index = StepIndex(index.outputs)
        dropped_now = dropped_runs(index.runs, chosen.keep_run, chosen.drop_run)
        still = {entry.key for entry in find_removable(index, dropped_now)}
        freed = removed = 0
        for entry in removable:
            held = None if entry.key not in still else remove(entry)
            if held:
                say(console, f"{entry.key} stays: {held} is at it.")
            elif entry.key in still:
                removed, freed = removed + 1, freed + entry.size
            else:
                say(console, f"{entry.key} stays: it is needed by now.")
    say(console, f"{removed} removed, {bytes_in_words(freed)}.")
    return 0


def confirmed() -> bool:
    """Ask whether to remove; no answer is a no."""
    try:
        return input("Remove them? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False
