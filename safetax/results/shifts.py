"""Tax against distribution shift: the perplexity of alignment data under the frozen LRM, by method, at one epoch count.

The data's perplexity before they were refined stands beside it; the correlation is over what was trained on. Different
LRMs, let alone with other tokenizers, have no common scale of perplexity, so that each has a correlation of its own.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from safetax.results.alignment_data import Perplexity, perplexity_over_runs
from safetax.results.document import Curve, CurvePoint, Results
from safetax.results.metrics import SAFETY_TAX
from safetax.results.pareto import setting_of
from safetax.statistics import (
    CONFIDENCE,
    Estimate,
    geometric_mean,
)

FEWEST_METHODS = 4
"""Methods below which no correlation is claimed: of three, one order in three is monotone by chance."""


@dataclass(frozen=True)
class Correlation:
    """A rank correlation, its interval (None where all are in one order), and what it was made from."""

    value: float
    low: float | None
    high: float | None
    n: int
    groups: int


@dataclass(frozen=True)
class ShiftPoint:
    """A curve at one epoch count: perplexities and tax of its runs, and both over all of them."""

    curve: int
    epochs: float
    runs: tuple[tuple[float, float], ...]
    """Perplexity of the data and tax in points, of each run."""
    after: Estimate
    """Of what was trained on; over runs the geometric mean."""
    before: float | None
    tax: Estimate
    """Over runs their mean."""


@dataclass(frozen=True)
class EvaluationSetting:
    """The points of one model that was evaluated in one way, and their correlation, where one is claimed."""

    name: str
    """What tells it apart from the other settings; empty where there is no other."""
    points: tuple[ShiftPoint, ...]
    epochs: float
    """Epoch count at which the correlation is taken."""
    correlation: Correlation | None

    @property
    def chosen(self) -> list[ShiftPoint]:
        """The points at the epoch count of the correlation."""
        return [point for point in self.points if point.epochs == self.epochs]


@dataclass(frozen=True)
class DistributionShifts:
    """All that was measured, by evaluation setting."""

    settings: tuple[EvaluationSetting, ...]

    @property
    def points(self) -> list[ShiftPoint]:
        """The points of all settings."""
        return [point for setting in self.settings for point in setting.points]


def find_shifts(results: Results) -> DistributionShifts:
    """Return tax and shift of the curves whose checkpoints have both; the LRM itself has no data and is no point.

    A setting's correlation is taken at the largest epoch count that most of its curves have. Weights between the LRM's
    and the aligned model's are left out: what such a model was trained on is not all of what it is.
    """
    found: dict[tuple[Any, ...], list[ShiftPoint]] = {}
    for number, curve in enumerate(results.curves):
        for point in curve.points:
            first, *_ = checkpoints = results.of(point)
            held = [checkpoint.perplexity() for checkpoint in checkpoints]
            between = first.interpolation not in (None, 1)
            if point.epochs and SAFETY_TAX in point.scores and all(held) and not between:
                before = [checkpoint.perplexity("before") for checkpoint in checkpoints]
                measured = _point(number, point, [part for part in held if part], [part for part in before if part])
                found.setdefault(setting_of(first), []).append(measured)
    named = zip(_names(list(found)), found.values(), strict=True)
    return DistributionShifts(tuple(_setting(name, points, results.curves) for name, points in named))


def _names(settings: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return the models of the settings and, where that is not enough, evaluations and benchmarks they differ in."""
    names = [""] * len(settings)
    told = [(model, evaluation or "no evaluation", ", ".join(headline)) for model, evaluation, *headline in settings]
    for part in zip(*told, strict=True):
        if len(set(names)) < len(names) and len(set(part)) > 1:
            names = [", ".join(filter(None, pair)) for pair in zip(names, part, strict=True)]
    return names


def _setting(name: str, points: Sequence[ShiftPoint], curves: Sequence[Curve]) -> EvaluationSetting:
    at: dict[float, set[int]] = {}
    for point in points:
        at.setdefault(point.epochs, set()).add(point.curve)
    epochs = max(at, key=lambda epochs: (len(at[epochs]), epochs))
    chosen = [(point, run) for point in points if point.epochs == epochs for run in point.runs]
    # Variants of a method, such as other learning rates on the same data, are no methods of their own.
    methods = [(curves[point.curve].model, curves[point.curve].dataset) for point, _ in chosen]
    x, y = [run[0] for _, run in chosen], [run[1] for _, run in chosen]
    return EvaluationSetting(name, tuple(points), epochs, rank_correlation(x, y, methods))


def _point(number: int, point: CurvePoint, held: Sequence[Perplexity], held_before: Sequence[Perplexity]) -> ShiftPoint:
    tax = point.scores[SAFETY_TAX]
    after = [part.token for part in held]
    several = len(set(after)) > 1  # runs on the very same data are one measurement of its perplexity
    reach = perplexity_over_runs(held if several else held[:1])
    return ShiftPoint(
        number,
        point.epochs,
        tuple(zip(after, tax.values, strict=True)),
        Estimate(reach.mean, reach.low, reach.high),
        geometric_mean(part.token for part in held_before) if len(held_before) == len(held) else None,
        Estimate(tax.mean, tax.low, tax.high),
    )


def rank_correlation(
    x: Sequence[float], y: Sequence[float], groups: Sequence[Hashable], confidence: float = CONFIDENCE
) -> Correlation | None:
    """Return Spearman's rank correlation of ``x`` and ``y``, with the interval of Fisher's transformation.

    Bonett and Wright (2000), with as many observations as there are groups: runs of one method that differ in their
    seed alone are no independent points. None with fewer than ``FEWEST_METHODS`` groups, or where all of ``x`` or of
    ``y`` are equal.
    """
    from scipy.stats import spearmanr  # slow to import, and few reports have such values

    n = len(set(groups))
    if n < FEWEST_METHODS or len(set(x)) == 1 or len(set(y)) == 1:
        return None
    ranks: Any = spearmanr(x, y)
    value = float(ranks.statistic)
    if abs(value) > 1 - 1e-12:  # that all agree tells how few they are and not how sure the value is
        return Correlation(math.copysign(1.0, value), None, None, len(x), n)
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt((1 + value * value / 2) / (n - 3))
    low, high = (math.tanh(math.atanh(value) + sign * reach) for sign in (-1, 1))
    return Correlation(value, low, high, len(x), n)
