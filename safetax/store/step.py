"""A step: one content-addressed unit of work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Literal

StepKind = Literal["prepare", "train", "merge", "perplexity", "generate", "score"]

VERSIONS: dict[StepKind, int] = {"prepare": 2, "train": 2, "merge": 1, "perplexity": 3, "generate": 4, "score": 2}
"""Version of each kind of step; raised when a worker means something else by the same identity, so that nothing older
is reused."""


OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "prepare": ("examples.jsonl",),
    "train": ("model/config.json", "model/*.safetensors"),
    "merge": ("model/config.json", "model/*.safetensors"),
    "perplexity": ("perplexity.jsonl",),
    "generate": ("responses.jsonl",),
    "score": ("verdicts.jsonl",),
}
"""What each kind of step makes at least, as patterns of paths in its folder."""


def missing_output(kind: str, names: Iterable[str]) -> str | None:
    """Return what a step of a kind makes that is not among the names of outputs, or None."""
    made = list(names)
    for pattern in OUTPUTS.get(kind, ()):
        if not any(fnmatchcase(name, pattern) for name in made):
            return pattern
    return None


def canonical_json(values: Any) -> str:
    """Return JSON values as text that depends on the values alone: keys sorted, no white space."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint_of(values: Any) -> str:
    """Return the fingerprint of JSON values: the first 12 hex digits of their sha256."""
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()[:12]


@dataclass(frozen=True, eq=False)
class Step:
    """One unit of work with everything that decides its result.

    Args:
        kind: which worker does it.
        title: what it is in words; not part of the fingerprint.
        identity: resolved settings that decide the result, as JSON values.
        inputs: steps whose outputs it reads, by the worker's names for them.
        runtime: settings of where and how fast it runs; not part of the fingerprint.
    """

    kind: StepKind
    title: str
    identity: Mapping[str, Any]
    inputs: Mapping[str, Step] = field(default_factory=dict)
    runtime: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """12 hex digits over kind, version, identity and the fingerprints of the inputs."""
        inputs = {name: step.key for name, step in self.inputs.items()}
        return fingerprint_of([self.kind, VERSIONS[self.kind], self.identity, inputs])

    @property
    def key(self) -> str:
        """``kind/fingerprint``, which is also the step's folder below the outputs."""
        return f"{self.kind}/{self.fingerprint}"

    def frozen(self) -> dict[str, Any]:
        """Return what the step's folder records of it before it runs (``step.json``)."""
        return {
            "kind": self.kind,
            "version": VERSIONS[self.kind],
            "fingerprint": self.fingerprint,
            "title": self.title,
            "identity": self.identity,
            "inputs": {name: step.key for name, step in self.inputs.items()},
        }


def in_order(targets: Iterable[Step]) -> list[Step]:
    """Return the targets and all their ancestors, each once, inputs before what uses them."""
    ordered: dict[str, Step] = {}

    def visit(step: Step) -> None:
        if step.key not in ordered:
            for source in step.inputs.values():
                visit(source)
            ordered[step.key] = step

    for target in targets:
        visit(target)
    return list(ordered.values())
