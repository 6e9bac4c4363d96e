"""Draws experiments of a cell, and asks the product's own functions for their intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betaincinv, ndtr

from bench.coverage.cells import Cell
from safetax.statistics.estimates import CONFIDENCE
from safetax.statistics.limits import t_quantile
from safetax.statistics.tables import Components, PromptTable, limits_over_prompts, limits_over_units

Array = Any
BATCH = 4_000_000
"""Answers that are drawn at a time."""
RESAMPLES = 1000
OTHERWISE = 0.03
"""Probability that an aligned model answers what its LRM did not."""
ROUNDING = 1e-9
SHAPE = 1.5
"""Of the gamma distribution of skewed differences, whose skewness is 1.6."""


@dataclass(frozen=True)
class Covered:
    """Share of experiments whose interval held the truth, its mean and least width, and the events expected in each."""

    share: float
    width: float
    least: float
    events: float


def coverage(cell: Cell, experiments: int, generator: np.random.Generator, baseline: bool = False) -> Covered:
    """Return how often the intervals of a cell hold its truth; with ``baseline`` those of the bootstrap, or of t."""
    size = max(1, min(experiments, BATCH // (sum(cell.sizes) * cell.repeats * cell.seeds)))
    held, widths, events, least = 0, 0.0, 0.0, 1.0
    for begin in range(0, experiments, size):
        count = min(size, experiments - begin)
        drawn, truth = _draw(cell, count, generator)
        components, means = _components(drawn)
        if baseline:
            low, high = _baseline(drawn, generator)
        elif cell.seeds > 1:
            low, high = limits_over_units(components, means, CONFIDENCE)
        else:
            low, high = limits_over_prompts(components, CONFIDENCE)
        floor = 0.0 if cell.what == "mean" else -1.0
        low, high = np.maximum(low, floor), np.minimum(high, 1.0)
        held += int(((low <= truth + ROUNDING) & (truth - ROUNDING <= high)).sum())
        widths += float((high - low).sum())
        least = min(least, float((high - low).min()))
        events += count * _events(drawn)
    return Covered(held / experiments, widths / experiments, least, events / experiments)


_Drawn = list[tuple[Array, Array | None]]
"""Of each benchmark the values of both sides, shape (experiments, seeds, prompts)."""


def _draw(cell: Cell, count: int, generator: np.random.Generator) -> tuple[_Drawn, float]:
    if cell.what == "seeds":
        return _draw_seeds(cell, count, generator)
    drawn = []
    for size in cell.sizes:
        shape = (count, 1, size)
        if cell.what == "mean":
            drawn.append((_answers(cell.rates[0], cell.correlation, cell.repeats, shape, generator), None))
            continue
        shared = generator.standard_normal(shape)
        own = cell.correlation * shared + np.sqrt(1 - cell.correlation**2) * generator.standard_normal(shape)
        drawn.append(
            tuple(
                _from_latent(rate, latent, cell.repeats, generator)
                for rate, latent in zip(cell.rates, (shared, own), strict=True)
            )
        )
    return drawn, cell.truth


def _answers(
    rate: float, correlation: float, repeats: int, shape: tuple[int, ...], generator: np.random.Generator
) -> Array:
    """Return means over repeats of answers, whose problems differ in difficulty by a beta distribution."""
    if repeats == 1:
        return (generator.random(shape) < rate).astype(float)
    difficulty: Array = rate
    if correlation and 0 < rate < 1:
        weight = (1 - correlation) / correlation
        difficulty = generator.beta(rate * weight, (1 - rate) * weight, shape)
    return generator.binomial(repeats, difficulty, shape) / repeats


def _from_latent(rate: float, latent: Array, repeats: int, generator: np.random.Generator) -> Array:
    """Return answers to problems whose difficulty follows a latent normal; the repeats of one correlate by 0.5."""
    if repeats == 1 or rate in (0, 1):
        return (ndtr(latent) < rate).astype(float)
    # The quantile function on a grid: the exact one is slow.
    grid = np.linspace(0.0005, 0.9995, 1000)
    difficulty = betaincinv(rate, 1 - rate, grid)[(ndtr(latent) * 1000).astype(int).clip(0, 999)]
    difficulty = difficulty * (rate / betaincinv(rate, 1 - rate, grid).mean())
    return generator.binomial(repeats, difficulty.clip(0, 1)) / repeats


def _draw_seeds(cell: Cell, count: int, generator: np.random.Generator) -> tuple[_Drawn, float]:
    """Draw runs whose difference is their own, on the same prompts; what a prompt does in one run tells of others."""
    rate = cell.rates[0]
    shape = (count, cell.seeds)
    effects = cell.truth + cell.sd * _spread(cell, shape, generator)
    lost = (effects + (1 - rate) * OTHERWISE) / rate
    first, second = (_correlated(cell, count, generator) for _ in range(2))
    before = first < rate
    after = np.where(before, second >= lost[..., None], second < OTHERWISE)
    # Effects beyond what probabilities can be are cut, which moves their mean.
    probabilities = rate * lost.clip(0, 1) - (1 - rate) * OTHERWISE
    return [(before.astype(float), after.astype(float))], _mean_effect(cell, rate) if cell.sd else float(
        probabilities.mean()
    )


def _spread(cell: Cell, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Return deviations with mean 0 and variance 1, normal or of a gamma distribution."""
    if cell.spread == "skewed":
        return (generator.standard_gamma(SHAPE, shape) - SHAPE) / np.sqrt(SHAPE)
    return generator.standard_normal(shape)


def _mean_effect(cell: Cell, rate: float) -> float:
    drawn = _spread(cell, (2_000_000,), np.random.default_rng(0))
    lost = (cell.truth + cell.sd * drawn + (1 - rate) * OTHERWISE) / rate
    return float((rate * lost.clip(0, 1) - (1 - rate) * OTHERWISE).mean())


def _correlated(cell: Cell, count: int, generator: np.random.Generator) -> Array:
    """Return uniform numbers of each run and prompt, of which those of one prompt correlate."""
    own = generator.standard_normal((count, cell.seeds, cell.sizes[0]))
    shared = generator.standard_normal((count, 1, cell.sizes[0]))
    return ndtr(np.sqrt(cell.correlation) * shared + np.sqrt(1 - cell.correlation) * own)


def _components(drawn: _Drawn) -> tuple[Components, Array]:
    """Return the tables of the product, each cluster being a prompt, and each run's score."""
    components, means = [], 0.0
    for first, second in drawn:
        _, seeds, prompts = first.shape
        rows = seeds * prompts
        table = PromptTable(
            *(None if side is None else side.swapaxes(1, 2).reshape(len(side), rows) for side in (first, second)),
            weights=np.full(rows, 1 / rows),
            clusters=np.arange(0, rows, seeds),
            cells=np.arange(rows),
            units=np.tile(np.arange(seeds), prompts),
        )
        components.append((1 / len(drawn), table))
        means = means + (first if second is None else first - second).mean(-1) / len(drawn)
    return components, means


def _events(drawn: _Drawn) -> float:
    """Return the fewest events that a benchmark's prompts are expected to have: of the rarer outcome, or discordant."""
    found = []
    for first, second in drawn:
        prompts = first.shape[-1]
        if second is None:
            found.append(min(first.mean(), 1 - first.mean()) * prompts)
        else:
            found.append((first * (1 - second) + second * (1 - first)).mean() * prompts)
    return float(min(found))


def _baseline(drawn: _Drawn, generator: np.random.Generator) -> tuple[Array, Array]:
    """Return Student's t interval over seeds, or the percentile bootstrap over prompts."""
    values = [(first if second is None else first - second) for first, second in drawn]
    if values[0].shape[1] > 1:
        means = values[0].mean(-1)
        count = means.shape[1]
        half = t_quantile(count - 1, CONFIDENCE) * means.std(-1, ddof=1) / np.sqrt(count)
        return means.mean(-1) - half, means.mean(-1) + half
    lows, highs = [], []
    for experiment in range(len(values[0])):
        draws = np.zeros(RESAMPLES)
        for each in values:
            sample, n = each[experiment, 0], each.shape[-1]
            kinds, counts = np.unique(sample, return_counts=True)
            draws += generator.multinomial(n, counts / n, RESAMPLES) @ kinds / n / len(values)
        low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        lows.append(low)
        highs.append(high)
    return np.array(lows), np.array(highs)
