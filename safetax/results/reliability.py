"""How far judges agree, over all checkpoints that they judged on the same prompts.

One checkpoint alone would mislead: where nearly every answer is a refusal, chance agreement is nearly full.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safetax.results.document import BenchmarkAgreement
from safetax.results.metrics import measured_by
from safetax.results.scores import Groups

Verdicts = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Judged:
    """The verdicts of several judges of answers on one checkpoint's responses to one benchmark."""

    model: str
    benchmark: str
    measures: str
    verdicts: Mapping[str, Verdicts]
    groups: Groups
    """Rows with the same prompt: they are one prompt to the interval."""


def judge_agreement(judged: Iterable[Judged]) -> tuple[BenchmarkAgreement, ...]:
    """Return for each model, benchmark and field of the verdicts how far the judges agree, beyond chance.

    Fields that fewer than two judges speak of are left out.
    """
    pooled: dict[tuple[str, str, str], list[Judged]] = {}
    for entry in judged:
        pooled.setdefault((entry.model, entry.benchmark, entry.measures), []).append(entry)
    found = []
    for (model, benchmark, measures), entries in sorted(pooled.items()):
        said = _pooled(entries)
        for metric, field in measured_by(measures).items():
            speaking = {
                judge: verdicts
                for judge, verdicts in said.items()
                if any(verdict[field] is not None for verdict in verdicts)
            }
            if len(speaking) > 1:
                from safetax.results.agreement import agreement

                place = {"model": model, "benchmark": benchmark, "metric": metric, "checkpoints": len(entries)}
                found.append(BenchmarkAgreement(**vars(agreement(speaking, field)), **place))
    return tuple(found)


def _pooled(entries: Iterable[Judged]) -> dict[str, list[dict[str, Any]]]:
    """Return all verdicts of each judge that are no errors.

    A prompt keeps its name over checkpoints and rows, since what is said of one is no independent observation.
    """
    said: dict[str, list[dict[str, Any]]] = {}
    for place, entry in enumerate(entries):
        for judge, verdicts in entry.verdicts.items():
            said.setdefault(judge, []).extend(
                {
                    "id": entry.groups.get(verdict["id"], verdict["id"]),
                    "repeat": (place, verdict["id"], verdict["repeat"]),
                    "harmful": verdict["harmful"],
                    "refused": verdict["refused"],
                    "correct": verdict["correct"],
                }
                for verdict in verdicts
                if verdict["error"] is None
            )
    return said
