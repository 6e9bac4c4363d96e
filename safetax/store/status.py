"""The steps on disk: which are complete, and why one cannot be reused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetax.config.flat import flatten
from safetax.store.atomic import discard
from safetax.store.manifest import (
    KEPT,
    MANIFEST,
    RELEASED,
    RUNTIME,
    STEP,
    damage,
    outputs_digest,
    read_manifest,
    sources,
    write_json,
)
from safetax.store.step import Step

Described = tuple[dict[str, Any], Mapping[str, str]]
"""The manifest of a finished step, and its identity, version and inputs as one flat mapping."""
State = Literal["complete", "absent", "unfinished", "damaged", "stale"]


@dataclass(frozen=True)
class Status:
    """Whether a step can be reused; ``reason`` says in words why not."""

    state: State
    reason: str = ""
    released: bool = False
    """Whether it is complete without its weights, which were let go: good for all but a step that needs them."""

    @property
    def complete(self) -> bool:
        """Whether the step is finished, whole, and made from its inputs as they are now."""
        return self.state == "complete"

    def serves(self, wanted: bool) -> bool:
        """Whether the step need not be made: it is complete, with its weights where some step will read them."""
        return self.complete and not (self.released and wanted)


@dataclass(frozen=True)
class Pending:
    """A step of a graph that is not simply reused."""

    status: Status
    again: bool
    """Whether it is to be made; else it is complete, and kept if its inputs come out as they were."""
    below: bool
    """Whether one of its inputs is such a step too."""


class Store:
    """The steps below one outputs folder.

    Args:
        root: the folder.
        retry_errors: whether a judging that left verdicts which are errors is to be done again.
    """

    def __init__(self, root: Path, retry_errors: bool = False) -> None:
        self.root = root
        self.retry_errors = retry_errors

    def directory(self, step: Step | str) -> Path:
        """Return the folder of a step (or of its ``kind/fingerprint``)."""
        return self.root / (step if isinstance(step, str) else step.key)

    def manifest(self, step: Step | str) -> dict[str, Any] | None:
        """Return the manifest of a finished step, or None."""
        return read_manifest(self.directory(step))

    def status(self, step: Step | str, full: bool = False) -> Status:
        """Say whether a step is complete.

        Args:
            step: the step, or its ``kind/fingerprint``.
            full: hash all outputs instead of looking at sizes and times.
        """
        directory = self.directory(step)
        manifest = read_manifest(directory)
        if manifest is None:
            if (directory / MANIFEST).exists():
                return Status("damaged", "its manifest cannot be read, or was changed")
            if directory.is_file():
                return Status("damaged", "a file stands in the place of its folder")
            begun = any(path.name not in (STEP, RUNTIME) for path in directory.glob("*"))
            return Status("unfinished", "it was begun and not finished") if begun else Status("absent", "never made")
        wrong = damage(directory, manifest, full)
        if wrong:
            return Status("damaged", wrong)
        for name, entry in manifest["inputs"].items():
            source = self.manifest(entry["step"])
            if source is not None and outputs_digest(source) != entry["outputs"]:
                return Status("stale", f"its input {name} ({entry['step']}) was made again with other content")
        if self.retry_errors and (count := errors_in(manifest)):
            return Status("unfinished", f"{count} of its verdicts are errors")
        return Status("complete", released=bool(manifest.get(RELEASED)))

    def freeze(self, step: Step, again: bool = True) -> Path:
        """Write what a worker needs to run the step into its folder, and return the folder.

        Args:
            step: the step.
            again: whether it is to be made even where it is complete without its weights; else a worker keeps it.
        """
        directory = self.directory(step)
        if directory.is_file():
            directory.unlink()
        directory.mkdir(parents=True, exist_ok=True)
        for path in (directory / name for name in KEPT):
            if path.is_dir():
                discard(path)
        manifest = read_manifest(directory) or {}
        if (manifest.get(RELEASED) and again) or (self.retry_errors and errors_in(manifest)):
            discard(directory / MANIFEST)  # it is wanted whole again
        write_json(directory / STEP, step.frozen())
        write_json(directory / RUNTIME, dict(step.runtime))
        return directory

    def statuses(self, steps: Iterable[Step]) -> dict[str, Status]:
        """Return the status of each step by its key."""
        return {step.key: self.status(step) for step in steps}

    def finished(self) -> Iterator[dict[str, Any]]:
        """Yield the manifests of all finished steps."""
        for path in sorted(self.root.glob(f"*/*/{MANIFEST}")):
            manifest = read_manifest(path.parent)
            if manifest is not None:
                yield manifest


def wanted(steps: Sequence[Step], statuses: Mapping[str, Status]) -> set[str]:
    """Return the steps whose outputs some step of a graph will read, since it is to be made.

    Args:
        steps: the graph, inputs before what uses them.
        statuses: of each of them, by its key.
    """
    found: set[str] = set()
    for step in reversed(steps):
        if not statuses[step.key].serves(step.key in found):
            found.update(source.key for source in step.inputs.values())
    return found


def to_do(steps: Sequence[Step], statuses: Mapping[str, Status]) -> dict[str, Pending]:
    """Return the steps of a graph that are not simply reused, by their keys.

    Args:
        steps: the graph, inputs before what uses them.
        statuses: of each of them, by its key.
    """
    read = wanted(steps, statuses)
    found: dict[str, Pending] = {}
    for step in steps:
        status = statuses[step.key]
        again = not status.serves(step.key in read)
        below = any(source.key in found for source in step.inputs.values())
        if again or below:
            found[step.key] = Pending(status, again, below)
    return found


def errors_in(manifest: Mapping[str, Any]) -> int:
    """Return how many of a judging's verdicts are errors; 0 for other steps."""
    errors = manifest["summary"].get("errors") if manifest.get("kind") == "score" else None
    return errors if isinstance(errors, int) else 0


def most_similar(
    frozen: Mapping[str, Any], finished: Iterable[Described], count: int
) -> list[tuple[dict[str, Any], list[str]]]:
    """Return the finished steps of a step's kind that differ from it in the fewest keys, the nearest first.

    Args:
        frozen: description or manifest of the step.
        finished: steps to look among.
        count: how many to return at most.

    Returns:
        manifests, each with its lines ``key: theirs -> ours``; none that differs in more than half of the keys.
    """
    ours = described(frozen)
    found = []
    for manifest, theirs in finished:
        if manifest["kind"] == frozen["kind"]:
            keys = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
            if len(keys) <= len(ours) / 2:
                found.append((manifest, theirs, keys))
    found.sort(key=lambda entry: len(entry[2]))
    return [
        (manifest, [f"{key}: {theirs.get(key, 'absent')} -> {ours.get(key, 'absent')}" for key in keys])
        for manifest, theirs, keys in found[:count]
    ]


def described(frozen: Mapping[str, Any]) -> dict[str, str]:
    """Return identity, version and inputs of a step's description as one flat mapping."""
    return {
        **flatten(frozen["identity"]),
        "version": str(frozen["version"]),
        **{f"input {name}": key for name, key in sources(frozen).items()},
    }
