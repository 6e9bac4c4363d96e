"""Agreement between judges beyond chance: Cohen's kappa for two, Krippendorff's alpha for any number.

Both compare labels by equality alone (nominal), and are 1 less observed over expected disagreement. The intervals are
over prompts, since the responses to one prompt are no independent observations.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safetax.results.metrics import measured_by
from safetax.statistics import CONFIDENCE, Estimate, Groups

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
    return _coefficient(_kappa_parts(list(Counter(pairs).items())))


def alpha(units: Sequence[Unit]) -> float:
    """Return Krippendorff's alpha for nominal labels; a judge that said nothing of a response has None there.

    Responses with fewer than two labels say nothing of agreement and are left out. It is nan where all labels are the
    same, or no response has two.
    """
    labels = (tuple(label for label in unit if label is not None) for unit in units)
    return _coefficient(_alpha_parts([(each, 1.0) for each in labels]))


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
            kappa=_with_interval(both, _kappa_parts),
        )
    labels_of = {key: tuple(labels.values()) for key, labels in shared.items()}
    prompts = len({key[0] for key in shared})
    return Agreement(field, tuple(judges), prompts, _with_interval(labels_of, _alpha_parts), pairs)


_Rows = Sequence[tuple[tuple[Hashable, ...], float]]
"""Labels of responses, and how many responses have them."""
_Parts = tuple[float, float]
"""Observed and expected disagreement, shares of 1; nan where there is nothing to compare."""


def _coefficient(parts: _Parts) -> float:
    observed, expected = parts
    return 1 - observed / expected if expected > 0 else math.nan


def _kappa_parts(rows: _Rows) -> _Parts:
    n = sum(count for _, count in rows)
    if not n:
        return math.nan, math.nan
    first: dict[Hashable, float] = defaultdict(float)
    second: dict[Hashable, float] = defaultdict(float)
    for (one, other), count in rows:
        first[one] += count
        second[other] += count
    observed = sum(count for (one, other), count in rows if one != other) / n
    return observed, 1 - sum(first[label] * second.get(label, 0.0) for label in first) / (n * n)


def _alpha_parts(rows: _Rows) -> _Parts:
    totals: dict[Hashable, float] = defaultdict(float)
    differ = 0.0
    for labels, weight in rows:
        size = len(labels)
        if size < 2:
            continue
        for label, count in Counter(labels).items():
            totals[label] += weight * count
            differ += weight * count * (size - count) / (size - 1)
    n = sum(totals.values())
    if n <= 1:
        return math.nan, math.nan
    return differ / n, (n * n - sum(total * total for total in totals.values())) / (n * (n - 1))


def _with_interval(
    labels_of: Mapping[tuple[str, int], tuple[Hashable, ...]], parts_of: Callable[[_Rows], _Parts]
) -> Estimate | None:
    """Return a coefficient with its interval over prompts; None where it is not defined.

    The observed disagreement is a share, so that it has Wilson's interval, with as many observations as its own
    variance would need to give the coefficient's, which the jackknife over prompts estimates.
    """
    from safetax.statistics.limits import PSEUDO_CLUSTERS, normal_quantile, share_limits, t_quantile

    prompts: dict[str, Counter[tuple[Hashable, ...]]] = defaultdict(Counter)
    for (prompt, _), labels in labels_of.items():
        prompts[prompt][labels] += 1
    whole: Counter[tuple[Hashable, ...]] = Counter(labels_of.values())
    observed, expected = parts_of(list(whole.items()))
    value = _coefficient((observed, expected))
    if math.isnan(value):
        return None
    n = len(prompts)
    single = observed * (1 - observed)
    size = float(n)
    if n > 1 and single > 0:
        alike = Counter(frozenset(counts.items()) for counts in prompts.values())
        left = [
            (
                _coefficient(parts_of([(labels, count - dict(own).get(labels, 0)) for labels, count in whole.items()])),
                times,
            )
            for own, times in alike.items()
        ]
        known = [(each, times) for each, times in left if not math.isnan(each)]
        mean = math.fsum(each * times for each, times in known) / sum(times for _, times in known)
        variance = (n - 1) / n * math.fsum(times * (each - mean) ** 2 for each, times in known)
        variance = variance * expected**2 + PSEUDO_CLUSTERS * single / n**2
        size = (normal_quantile(CONFIDENCE) / float(t_quantile(n - 1, CONFIDENCE))) ** 2 * single / variance
    low, high = (float(limit) for limit in share_limits(observed, size, CONFIDENCE))
    return Estimate(value, max(-1.0, 1 - high / expected), min(1.0, 1 - low / expected))


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
