"""Intervals of scores, which are means over benchmarks of shares of prompts, and of their paired differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from safetax.statistics.estimates import CONFIDENCE, Estimate, Groups, OverSeeds, Sample, Values

if TYPE_CHECKING:
    from safetax.statistics.tables import Components, PromptTable

_Row = tuple[str, int, float, float, float]
"""Cluster, unit, weight, and the values of both sides."""
LEAST_SURE, MOST_SURE = 1e-6, 7.0
"""Quantiles of the normal distribution between which a p-value is looked for: of 1 and of 3e-12."""


def proportion(successes: int, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """Return a share of prompts that have one answer each, with the interval that :func:`estimate` gives it."""
    from safetax.statistics.limits import share_limits

    low, high = share_limits(successes / n, n, confidence)
    return Estimate(successes / n, float(low), float(high))


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """Return the share ``successes / n`` with Wilson's score interval (1927, without continuity correction)."""
    from safetax.statistics.limits import wilson_limits

    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} of {n} is no proportion")
    low, high = wilson_limits(successes / n, n, confidence)
    return Estimate(successes / n, float(low), float(high))


def mean_of_benchmarks(
    benchmarks: Mapping[str, Values], confidence: float = CONFIDENCE, groups: Groups | None = None
) -> Estimate:
    """Return the unweighted mean of the benchmarks' means, each value in 0..1, with its interval over prompts.

    Repeats of a prompt are no prompts of their own, nor are rows of one group: see ``limits.effective_size``.
    """
    return estimate(Sample(benchmarks, None, groups or {}), confidence)


def paired_difference(
    first: Mapping[str, Values],
    second: Mapping[str, Values],
    confidence: float = CONFIDENCE,
    groups: Groups | None = None,
) -> Estimate:
    """Return mean of ``first`` minus mean of ``second``, each an unweighted mean of the same benchmarks' means.

    What both sides say of a prompt is a pair, so what they share cancels. A prompt that one side lacks (its verdict is
    an error) counts on the other side alone, so the value is the difference of the two reported means.
    """
    if first.keys() != second.keys():
        raise ValueError(f"different benchmarks: {sorted(first)} and {sorted(second)}")
    return estimate(Sample(first, second, groups or {}), confidence)


def estimate(sample: Sample, confidence: float = CONFIDENCE) -> Estimate:
    """Return a sample's score or difference with its interval over prompts."""
    return intervals([sample])(confidence)


def intervals(samples: Sequence[Sample]) -> Callable[[float], Estimate]:
    """Return what gives the mean of samples' scores its interval at any confidence.

    Of one sample it is over prompts; of several over prompts and over the units of the samples. Samples of one unit,
    such as alignment seeds of one LRM, are a cluster; where there is one unit alone they are units themselves, and the
    interval is of means over other samples of it. All need the same benchmarks.
    """
    import numpy as np

    from safetax.statistics.tables import limits_over_prompts, limits_over_units

    components, values, units = _components(samples), [_value(sample) for sample in samples], _units(samples)
    means = np.array(
        sorted(
            math.fsum(each for each, own in zip(values, units, strict=True) if own == unit) / units.count(unit)
            for unit in range(max(units) + 1)
        )
    )
    value = math.fsum(values) / len(values)
    smallest = 0.0 if samples[0].second is None else -1.0

    def at(confidence: float) -> Estimate:
        several = len(samples) > 1
        low, high = (
            limits_over_units(components, means, confidence) if several else limits_over_prompts(components, confidence)
        )
        return Estimate(value, max(smallest, min(float(low), value)), min(1.0, max(float(high), value)))

    return at


def over_seeds(
    scores: Sequence[Estimate],
    samples: Sequence[Sample | None] = (),
    confidence: float = CONFIDENCE,
    scale: float = math.inf,
) -> OverSeeds:
    """Return the mean and spread of several seeds' scores with the mean's interval, or the score of one seed.

    Args:
        scores: the scores with their own intervals.
        samples: what each was measured on, if that is known. Else all are taken for scores on the same prompts.
        confidence: of the interval; the scores' own have that of all intervals.
        scale: what a share of 1 is shown as, such as 100; the mean of no shares has no bounds.
    """
    values = tuple(score.value for score in scores)
    mean, sd = mean_and_sd(values)
    if sd is None:
        return OverSeeds(mean, None, scores[0].low, scores[0].high, values)
    if all(score.low == score.high for score in scores):  # nothing is estimated
        return OverSeeds(mean, sd, min(values), max(values), values)
    known = [sample for sample in samples if sample is not None]
    if len(known) == len(scores) and len({frozenset(sample.first) for sample in known}) == 1:
        found = intervals(known)(confidence)
        low, high = scale * found.low, scale * found.high
    else:
        low, high = _limits_over_seeds(scores, confidence)
        # A share is at least 0, and a difference has an interval that reaches below.
        low, high = max(low, -scale if min(score.low for score in scores) < 0 else 0.0), min(high, scale)
    return OverSeeds(mean, sd, min(low, mean), max(high, mean), values)


def mean_over_runs(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate | None:
    """Return the mean of a value that each run has one of, with its interval for few values of any skew.

    None where that says nothing: of fewer than two runs, or where all agree, which tells how few they are and not how
    sure the mean is.
    """
    mean, sd = mean_and_sd(values)
    if sd is None or max(values) - min(values) < 1e-12:
        return None
    import numpy as np

    from safetax.statistics.limits import mean_distances

    below, above = mean_distances(np.array(sorted(values)), confidence)
    return Estimate(mean, mean - float(below), mean + float(above))


def p_value(interval: Callable[[float], Estimate]) -> float:
    """Return the two-sided p-value of 0: 1 less the confidence at which an interval begins to hold it."""
    from scipy.optimize import brentq

    normal = NormalDist()
    value = interval(0.5).value
    if value == 0:
        return 1.0

    def nearer(quantile: float) -> float:
        found = interval(2 * normal.cdf(quantile) - 1)
        return found.low if value > 0 else -found.high

    if nearer(MOST_SURE) > 0:
        return 2 * normal.cdf(-MOST_SURE)
    if nearer(LEAST_SURE) <= 0:
        return 1.0
    # Limits are nearly straight in the quantile, so that a few of them are enough.
    root: Any = brentq(nearer, LEAST_SURE, MOST_SURE, xtol=1e-7)
    return 2 * normal.cdf(-float(root))


def mean_and_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Return mean and sample standard deviation, which of one value is None."""
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, None
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def geometric_mean(values: Iterable[float]) -> float:
    """Return the geometric mean of positive values."""
    return math.exp(_mean(math.log(value) for value in values))


def _limits_over_seeds(scores: Sequence[Estimate], confidence: float) -> tuple[float, float]:
    """Return the limits of a mean of scores on the same prompts, of which their intervals alone are known."""
    import numpy as np

    from safetax.statistics.limits import mean_distances

    values = np.array(sorted(score.value for score in scores))
    mean = _mean(values.tolist())
    below, above = mean_distances(values, confidence)
    nearer = _mean(score.value - score.low for score in scores)
    farther = _mean(score.high - score.value for score in scores)
    return mean - math.hypot(nearer, float(below)), mean + math.hypot(farther, float(above))


def _value(sample: Sample) -> float:
    """Return the mean over benchmarks; of two sides the mean over benchmarks of the differences of their means."""
    if sample.second is None:
        return _mean(_mean(values.values()) for values in sample.first.values())
    return _mean(_mean(values.values()) - _mean(sample.second[name].values()) for name, values in sample.first.items())


def _components(samples: Sequence[Sample]) -> Components:
    """Return the tables of all benchmarks with their weights, each with the rows of all samples.

    What one side has of prompts that the other lacks, and what is left where the sides' numbers differ, are tables of
    their own: the mean of a side is the pairs' part and the rest's.
    """
    benchmarks = list(samples[0].first)
    units = _units(samples)
    components = []
    for name in benchmarks:
        pairs, left, right = [], [], []
        for sample, unit in zip(samples, units, strict=True):
            each = 1 / len(samples)
            first, groups = sample.first[name], sample.groups
            if sample.second is None:
                left += _rows(first, dict.fromkeys(first, each / len(first)), unit, groups)
                continue
            second = sample.second[name]
            both = first.keys() & second.keys()
            share = min(len(both) / len(first), len(both) / len(second))
            pair = dict.fromkeys(both, each * share / len(both) if both else 0.0)
            pairs += _rows(first, pair, unit, groups, second)
            for rest, side in ((left, first), (right, second)):
                whole = each / len(side)
                rest += _rows(side, {prompt: whole - pair.get(prompt, 0.0) for prompt in side}, unit, groups)
        for sign, rows in ((1, pairs), (1, left), (-1, right)):
            weight = math.fsum(row[2] for row in rows)
            if weight > 1e-9:
                components.append((sign * weight / len(benchmarks), _table(rows, weight, rows is pairs)))
    return components


def _rows(
    values: Values, weights: Mapping[str, float], unit: int, groups: Groups, second: Values | None = None
) -> Iterator[_Row]:
    for prompt, weight in weights.items():
        if weight > 1e-12:
            yield groups.get(prompt, prompt), unit, weight, values[prompt], second[prompt] if second else 0.0


def _table(rows: Sequence[_Row], weight: float, paired: bool) -> PromptTable:
    """Return rows as a table, in an order that is not that of the data, so that sums are the same to the last bit."""
    import numpy as np

    from safetax.statistics.tables import PromptTable

    numbers = {cluster: number for number, cluster in enumerate(_ordered(rows))}
    ordered = sorted((numbers[cluster], *rest) for cluster, *rest in rows)
    clusters, units, weights, first, second = (np.array(column) for column in zip(*ordered, strict=True))
    new_cluster = np.diff(clusters, prepend=-1) != 0
    return PromptTable(
        first,
        second if paired else None,
        weights / weight,
        np.flatnonzero(new_cluster),
        np.flatnonzero(new_cluster | (np.diff(units, prepend=-1) != 0)),
        units,
    )


def _ordered(rows: Sequence[_Row]) -> list[str]:
    """Return the clusters ordered by what their rows hold, so that prompts' names, which may change, say nothing."""
    held: dict[str, list[tuple[float, ...]]] = {}
    for cluster, *rest in rows:
        held.setdefault(cluster, []).append(tuple(rest))
    return sorted(held, key=lambda cluster: sorted(held[cluster]))


def _units(samples: Sequence[Sample]) -> list[int]:
    names = [sample.unit for sample in samples]
    if len(set(names)) == 1:
        return list(range(len(samples)))
    order = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return [order[name] for name in names]


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return math.fsum(values) / len(values)
