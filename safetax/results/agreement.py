"""Agreement between judges beyond chance: Cohen's kappa for two, Krippendorff's alpha for any number.

Both compare labels by equality alone (nominal). The intervals come from resampling prompts, since the responses to one
prompt are no independent observations.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safetax.results.metrics import measured_by
from safetax.statistics import RESAMPLES, Estimate, Groups, bootstrap_interval, seeded_by

Labels = Sequence[Hashable]
Unit = Sequence[Hashable]
"""What the judges said of one response; None where one said nothing."""


@dataclass(frozen=True)
class Judged:
    """The verdicts of several judges of answers on one checkpoint's responses to one benchmark."""

    model: str
    benchmark: str
    measures: str
    verdicts: Mapping[str, Sequence[Mapping[str, Any]]]
    groups: Groups
    """Rows with the same prompt: they are one prompt to the interval."""


@dataclass(frozen=True)
class PairAgreement:
    """Agreement of two judges over ``n`` responses: share of equal labels, and Cohen's kappa; None where undefined."""

    n: int
    agree: float | None
    kappa: Estimate | None


@dataclass(frozen=True)
class Agreement:
    """Agreement of judges on a field of their verdicts, with Krippendorff's alpha over all of them."""

    field: str
    judges: tuple[str, ...]
    prompts: int
    alpha: Estimate | None
    pairs: Mapping[str, PairAgreement]


@dataclass(frozen=True)
class BenchmarkAgreement(Agreement):
    """Agreement of a benchmark's judges over ``checkpoints``; ``metric`` is the score that is made from the field."""

    model: str
    benchmark: str
    metric: str
    checkpoints: int


def kappa(first: Labels, second: Labels) -> float:
    """Return Cohen's kappa of two judges over the same responses; those that one said nothing of are left out.

    1 is full agreement, 0 what chance gives with each judge's own rates. It is nan where both always say the same one
    label, since nothing is left to agree on by more than chance, and where no response has both labels.
    """
    pairs = [pair for pair in zip(first, second, strict=True) if None not in pair]
    return _kappa(Counter(pairs))


def alpha(units: Sequence[Unit]) -> float:
    """Return Krippendorff's alpha for nominal labels; a judge that said nothing of a response has None there.

    Responses with fewer than two labels say nothing of agreement and are left out. It is nan where all labels are the
    same, or no response has two.
    """
    return _alpha([Counter(label for label in unit if label is not None) for unit in units])


def agreement(verdicts_by_judge: Mapping[str, Sequence[Mapping[str, Any]]], field: str) -> Agreement:
    """Return how far judges agree on a field of their verdicts on the same responses.

    Args:
        verdicts_by_judge: verdicts as plain objects, by the judge's name; errors say nothing.
        field: ``harmful``, ``refused``, ``correct`` or ``label``.

    Returns:
        alpha over all judges, and each two's kappa; ``prompts`` are those that two judges at least said something of.
    """
    said: dict[tuple[str, int], dict[str, Hashable]] = defaultdict(dict)
    for judge, verdicts in verdicts_by_judge.items():
        for verdict in verdicts:
            if verdict.get("error") is None and verdict.get(field) is not None:
                said[verdict["id"], verdict.get("repeat", 0)][judge] = verdict[field]
    judges = list(verdicts_by_judge)
    shared = {key: labels for key, labels in said.items() if len(labels) > 1}
    pairs = {}
    for one, other in itertools.combinations(judges, 2):
        both = {key: (labels[one], labels[other]) for key, labels in shared.items() if {one, other} <= labels.keys()}
        pairs[f"{one} / {other}"] = PairAgreement(
            n=len(both),
            agree=sum(a == b for a, b in both.values()) / len(both) if both else None,
            kappa=_with_interval(both, lambda rows: _kappa(_summed(rows))),
        )
    labels_of = {key: tuple(labels.values()) for key, labels in shared.items()}
    prompts = len({key[0] for key in shared})
    return Agreement(field, tuple(judges), prompts, _with_interval(labels_of, _weighted_alpha), pairs)


def _kappa(pairs: Mapping[tuple[Hashable, Hashable], float]) -> float:
    n = sum(pairs.values())
    if not n:
        return math.nan
    rows: dict[Hashable, float] = defaultdict(float)
    columns: dict[Hashable, float] = defaultdict(float)
    for (one, other), count in pairs.items():
        rows[one] += count
        columns[other] += count
    observed = sum(count for (one, other), count in pairs.items() if one == other) / n
    chance = sum(rows[label] * columns.get(label, 0.0) for label in rows) / (n * n)
    return math.nan if chance >= 1 else (observed - chance) / (1 - chance)


def _alpha(units: Sequence[Mapping[Hashable, int]], weights: Sequence[float] | None = None) -> float:
    """Return alpha from how often each label was given to each unit; a weight counts a unit several times."""
    totals: dict[Hashable, float] = defaultdict(float)
    differ = 0.0
    for counts, weight in zip(units, weights or [1.0] * len(units), strict=True):
        size = sum(counts.values())
        if size < 2:
            continue
        for label, count in counts.items():
            totals[label] += weight * count
            differ += weight * count * (size - count) / (size - 1)
    n = sum(totals.values())
    chance = n * n - sum(total * total for total in totals.values())
    return 1 - differ * (n - 1) / chance if chance > 0 else math.nan


_Rows = Sequence[tuple[tuple[Hashable, ...], float]]
"""Labels of responses, and how often a resample has them."""


def _summed(rows: _Rows) -> dict[Any, float]:
    counts: dict[Any, float] = defaultdict(float)
    for labels, weight in rows:
        counts[labels] += weight
    return counts


def _weighted_alpha(rows: _Rows) -> float:
    # The order of the labels says nothing, so that few different units remain, however many responses there are.
    counts: dict[frozenset[tuple[Hashable, int]], float] = defaultdict(float)
    for labels, weight in rows:
        counts[frozenset(Counter(labels).items())] += weight
    return _alpha([dict(unit) for unit in counts], list(counts.values()))


def _with_interval(
    labels_of: Mapping[tuple[str, int], tuple[Hashable, ...]], statistic: Callable[[_Rows], float]
) -> Estimate | None:
    """Return a statistic with the percentile interval over resampled prompts; None where it is not defined."""
    import numpy as np

    value = statistic([(labels, 1.0) for labels in labels_of.values()])
    if math.isnan(value):
        return None
    prompts = list(dict.fromkeys(key[0] for key in labels_of))
    place = {prompt: index for index, prompt in enumerate(prompts)}
    kinds = list(dict.fromkeys(labels_of.values()))
    kind_of = {labels: index for index, labels in enumerate(kinds)}
    # How often each prompt has each combination of labels, shape (prompts, combinations).
    table = np.zeros((len(prompts), len(kinds)))
    for key, labels in labels_of.items():
        table[place[key[0]], kind_of[labels]] += 1
    generator = seeded_by(prompts)
    chosen = generator.multinomial(len(prompts), [1 / len(prompts)] * len(prompts), size=RESAMPLES)
    draws = [statistic(list(zip(kinds, row.tolist(), strict=True))) for row in np.einsum("rp,pk->rk", chosen, table)]
    known = [draw for draw in draws if not math.isnan(draw)]
    return bootstrap_interval(value, np.array(known)) if known else None


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
