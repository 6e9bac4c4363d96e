"""The prompts of one benchmark as arrays, and what interval they give: alone, or as part of a mean over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from safetax.statistics.limits import (
    Array,
    Limits,
    difference_limits,
    effective_size,
    mean_distances,
    mover,
    share_limits,
)


@dataclass(frozen=True)
class PromptTable:
    """Rows of a benchmark, sorted by cluster, then by unit: a prompt's value under one seed, or a pair of values.

    Attributes:
        first: values in 0..1, shape (..., rows).
        second: those of the other side; None where nothing is compared.
        weights: of the rows, 1 in all, shape (rows,).
        clusters: where each cluster begins, shape (clusters,): rows of the same prompt are no independent observations.
        cells: where each cluster's rows of each unit begin.
        units: unit of each row, such as the number of its LRM seed, shape (rows,).
    """

    first: Array
    second: Array | None
    weights: Array
    clusters: Array
    cells: Array
    units: Array

    def part(self, confidence: float) -> tuple[Array, Array, Array]:
        """Return the weighted mean, of pairs that of first minus second, and its limits over other prompts."""
        mean, totals, masses = self._totals
        if self._discordant is None:
            size = effective_size(mean * (1 - mean), totals, masses, confidence)
            return mean, *share_limits(mean, size, confidence)
        gained, lost = self._discordant
        size = effective_size(gained + lost - mean * mean, totals, masses, confidence)
        return mean, *difference_limits(gained, lost, size, confidence)

    @cached_property
    def _totals(self) -> tuple[Array, Array, Array]:
        """The weighted mean, and each cluster's sums of weighted deviations from it and of weights."""
        values = self.first if self.second is None else self.first - self.second
        mean = self._mean(values)
        totals = np.add.reduceat(self.weights * (values - mean[..., None]), self.clusters, axis=-1)
        return mean, totals, np.add.reduceat(self.weights, self.clusters)

    @cached_property
    def _discordant(self) -> tuple[Array, Array] | None:
        """The shares of pairs in which one side alone has the event, first or second; None where nothing is compared.

        A repeat of one side and one of the other are drawn apart, so that these are shares of single draws.
        """
        if self.second is None:
            return None
        return self._mean(self.first * (1 - self.second)), self._mean(self.second * (1 - self.first))

    @cached_property
    def shared(self) -> tuple[Array, Array]:
        """Return the variance of the mean by what a prompt does in all units alike, and its share in that by prompts.

        Cameron, Gelbach and Miller (2011): clusters of prompts, less what each cell of prompt and unit has of its own.
        """
        values = self.first if self.second is None else self.first - self.second
        count = int(self.units.max()) + 1
        within = np.empty(np.broadcast_shapes(values.shape, self.weights.shape))
        for unit in range(count):
            rows = self.units == unit
            weights = self.weights[rows] / self.weights[rows].sum()
            mean = (weights * values[..., rows]).sum(-1, keepdims=True)
            within[..., rows] = self.weights[rows] * (values[..., rows] - mean)
        clusters = len(self.clusters)
        correction = clusters / max(clusters - 1, 1)
        by_prompt, by_cell = (
            correction * (np.add.reduceat(within, starts, axis=-1) ** 2).sum(-1)
            for starts in (self.clusters, self.cells)
        )
        shared = np.maximum(by_prompt - by_cell, 0) * count / max(count - 1, 1)
        known = by_prompt > 1e-18
        share = np.where(known, np.minimum(shared / np.where(known, by_prompt, 1.0), 1), 1.0)
        # Never nothing: equal means of few units do not show that prompts do not matter.
        return shared, np.maximum(share, 1 / count**2)

    def _mean(self, values: Array) -> Array:
        return (self.weights * values).sum(-1)


Components = Sequence[tuple[float, PromptTable]]
"""Tables whose means, each times its weight, sum to a score or a difference."""


def limits_over_prompts(components: Components, confidence: float) -> Limits:
    """Return the limits of the components' weighted sum, had other prompts been drawn."""
    return mover([(weight, *table.part(confidence)) for weight, table in components])


def limits_over_units(components: Components, means: Array, confidence: float) -> Limits:
    """Return the limits of the components' weighted sum, had other prompts and other units been drawn.

    Every unit has the same prompts, or some of them: what units differ by holds all that is not shared.

    Args:
        components: rows of all units.
        means: the weighted sum in each unit, shape (..., units).
        confidence: of the interval.
    """
    parts, beside = [], 0.0
    for weight, table in components:
        value, low, high = table.part(confidence)
        variance, share = table.shared
        root = np.sqrt(share)
        parts.append((weight, value, value - root * (value - low), value + root * (high - value)))
        beside = beside + weight * weight * variance
    value = means.mean(-1)
    middle = sum(weight * of for weight, of, _, _ in parts)
    low, high = mover(parts)
    below, above = mean_distances(means, confidence, beside)
    return value - np.hypot(middle - low, below), value + np.hypot(high - middle, above)
