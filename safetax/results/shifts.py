"""Tax against distribution shift: the perplexity of alignment data under the frozen LRM, by method, at one epoch count.

The data's perplexity before they were refined stands beside it; the correlation is over what was trained on. Different
LRMs, let alone with other tokenizers, have no common scale of perplexity, so that each has a correlation of its own.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safetax.results.alignment_data import Perplexity
from safetax.results.document import Curve, CurvePoint, Results
from safetax.results.metrics import SAFETY_TAX
from safetax.results.pareto import setting_of
from safetax.statistics import (
    CONFIDENCE,
    RESAMPLES,
    Estimate,
    bootstrap_interval,
    geometric_mean,
    seeded_by,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEWEST_METHODS = 4
"""Methods below which no correlation is claimed: of three, one order in three is monotone by chance."""


@dataclass(frozen=True)
class Correlation:
    """A rank correlation, its interval (None where every resample gives the same), and what it was made from."""

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
    """Its bar reaches over the runs, where there are several; else it is its own interval."""


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
    reach = (min(after), max(after)) if several else (held[0].low, held[0].high)
    return ShiftPoint(
        number,
        point.epochs,
        tuple(zip(after, tax.values, strict=True)),
        Estimate(geometric_mean(after), *reach),
        geometric_mean(part.token for part in held_before) if len(held_before) == len(held) else None,
        Estimate(tax.mean, tax.low, tax.high),
    )


def rank_correlation(
    x: Sequence[float], y: Sequence[float], groups: Sequence[Hashable], confidence: float = CONFIDENCE
) -> Correlation | None:
    """Return Spearman's rank correlation of ``x`` and ``y``, with the percentile interval of a bootstrap over groups.

    A resample takes whole groups: runs of one method that differ in their seed alone are no independent points. It is
    seeded by the groups' names and sizes, so that the same points always give the same interval. None with fewer than
    ``FEWEST_METHODS`` groups, or where all of ``x`` or of ``y`` are equal.
    """
    import numpy as np

    members: dict[Hashable, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault(group, []).append(number)
    points = np.array([x, y], dtype=np.float64)
    value = float(_spearman(points)) if len(members) >= FEWEST_METHODS else math.nan
    if math.isnan(value):
        return None
    generator = seeded_by(f"{name} {len(numbers)}" for name, numbers in members.items())
    blocks = list(members.values())
    by_size: dict[int, list[list[int]]] = {}
    for chosen in generator.integers(0, len(blocks), size=(RESAMPLES, len(blocks))):
        resample = [number for block in chosen for number in blocks[block]]
        by_size.setdefault(len(resample), []).append(resample)
    draws = np.concatenate([_spearman(points[:, resamples]) for resamples in by_size.values()])
    interval = bootstrap_interval(value, draws[~np.isnan(draws)], confidence)
    # Where all agree, that tells how few there are and not how sure the value is.
    certain = interval.high - interval.low < 1e-12
    low, high = (None, None) if certain else (interval.low, interval.high)
    return Correlation(value, low, high, len(x), len(members))


def _spearman(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank correlations of pairs, shape (2, ..., n), over the last axis; nan where there is nothing to rank.

    Spearman (1904): Pearson's correlation of the ranks, ties having their mean rank.
    """
    import numpy as np
    from scipy.stats import rankdata  # slow to import, and few reports have such values

    ranks = rankdata(points, axis=-1)
    one, other = ranks - ranks.mean(axis=-1, keepdims=True)
    scale = np.sqrt((one * one).sum(axis=-1) * (other * other).sum(axis=-1))
    with np.errstate(invalid="ignore"):
        return np.clip((one * other).sum(axis=-1) / scale, -1.0, 1.0)
