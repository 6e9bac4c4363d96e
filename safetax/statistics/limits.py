"""Closed forms of the intervals, over arrays of any shape: what a simulation and a single score both call.

Wilson (1927) and, of a rare event, Brown, Cai and DasGupta (2001) for one share; Tango (1998) for a paired difference;
an effective sample size for clusters (Korn and Graubard 1998; Dean and Pagano 2015); MOVER for sums (Zou and Donner
2008); Hall's transformation (1992) for the mean of few and skewed values. Neither scipy nor statsmodels has those for
clusters, pairs or sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from scipy.special import betaincinv, gammaincinv

Array = Any
"""Numbers, or arrays of one shape."""
Limits = tuple[Array, Array]

RARE = 3.001
"""Events up to which Wilson's nearer limit covers too seldom; just above 3, which rounding may miss."""
PSEUDO_CLUSTERS = 0.25
"""Clusters of one independent sample that are added to the variance, so that it is never 0 by chance."""
FEWEST_MISSED = 0.65
"""Share of the error that is allowed of the fewest values, of which Hall's transformation takes up a part of the skew;
of n values it is 1 - 2 / n."""
HALVINGS = 34
"""Of an interval of 2 at most: the limit is right to 1e-10."""


def normal_quantile(confidence: float) -> float:
    """Return the two-sided quantile of the normal distribution, such as 1.96 of 0.95."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def t_quantile(df: Array, confidence: float) -> Array:
    """Return the two-sided quantile of Student's t distribution with ``df`` degrees of freedom, above 0."""
    # By the beta distribution: scipy.special.stdtrit is wrong at some fractional degrees of freedom.
    share = betaincinv(0.5, np.asarray(df) / 2, confidence)
    return np.sqrt(df * share / np.maximum(1 - share, 1e-300))


def wilson_limits(share: Array, n: Array, confidence: float) -> Limits:
    """Return the limits of Wilson's score interval, without continuity correction."""
    z = normal_quantile(confidence)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At the ends centre and half are equal but for rounding.
    return np.where(np.equal(share, 0), 0.0, centre - half), np.where(np.equal(share, 1), 1.0, centre + half)


def share_limits(share: Array, n: Array, confidence: float) -> Limits:
    """Return Wilson's limits, the nearer one of three events and fewer being Poisson's one-sided limit."""
    low, high = wilson_limits(share, n, confidence)
    return (
        np.minimum(low, _rare_limit(share * n, n, low, confidence)),
        np.maximum(high, 1 - _rare_limit((1 - share) * n, n, 1 - high, confidence)),
    )


def _rare_limit(events: Array, n: Array, otherwise: Array, confidence: float) -> Array:
    rare = (events > 0) & (events < RARE)
    return np.where(rare, gammaincinv(np.where(rare, events, 1.0), 1 - confidence) / n, otherwise)


def difference_limits(gained: Array, lost: Array, n: Array, confidence: float) -> Limits:
    """Return the limits of Tango's score interval of ``gained - lost``.

    Args:
        gained: share of pairs in which the first side alone has the event.
        lost: share of pairs in which the second side alone has it.
        n: pairs; need not be whole.
        confidence: of the interval.
    """
    gained, lost, n = np.broadcast_arrays(*(np.asarray(each, dtype=np.float64) for each in (gained, lost, n)))
    squared = normal_quantile(confidence) ** 2
    value = gained - lost
    inside = np.stack((value, value))
    outside = np.stack((np.full_like(value, -1.0), np.full_like(value, 1.0)))
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        # The share lost that is likeliest if the difference is ``middle``, a root of 2 q^2 + b q + c.
        b = (2 - value) * middle - gained - lost
        apart = middle * (1 - middle)
        likeliest = (np.sqrt(np.maximum(b * b + 8 * lost * apart, 0)) - b) / 4
        variance = np.maximum(2 * likeliest + apart, 0) / n
        holds = (value - middle) ** 2 <= squared * variance
        inside, outside = np.where(holds, middle, inside), np.where(holds, outside, middle)
    return inside[0], inside[1]


def effective_size(single: Array, totals: Array, masses: Array, confidence: float) -> Array:
    """Return how many independent samples a weighted mean over clusters is worth, at least its clusters' number.

    Args:
        single: variance of one independent sample.
        totals: each cluster's sum of weight times deviation from the mean, shape (..., clusters).
        masses: each cluster's sum of weights, which are 1 in all; same shape, or (clusters,).
        confidence: of the interval, whose t quantile is put into the size. Its degrees of freedom follow from the
            kurtosis of the totals: where few clusters make up the variance, it is known as badly as from few.
    """
    clusters = totals.shape[-1]
    size = 1 / (masses * masses).sum(-1)
    squares = (totals * totals).sum(-1)
    variance = (size * size * squares + PSEUDO_CLUSTERS * single) / ((size - 1 + PSEUDO_CLUSTERS) * size)
    peak = (totals**4).sum(-1) / np.where(squares > 0, squares * squares, 1.0)
    df = np.where(squares > 0, 2 / np.maximum(peak - 1 / clusters, 1e-6), 1.0)
    df = np.clip(df, 1.0, max(clusters - 1, 1))
    shrunk = (normal_quantile(confidence) / t_quantile(df, confidence)) ** 2
    known = np.greater(single, 1e-15)
    return np.where(known, np.maximum(shrunk * single / np.where(known, variance, 1.0), size), size)


def mover(parts: Sequence[tuple[float, Array, Array, Array]]) -> Limits:
    """Return the limits of a weighted sum of independent estimates, each a weight, a value and its two limits."""
    value = sum(weight * of for weight, of, _, _ in parts)
    below, above = [], []
    for weight, of, low, high in parts:
        near, far = weight * (of - low), weight * (high - of)
        below.append(near if weight > 0 else far)
        above.append(far if weight > 0 else near)
    return (
        value - np.sqrt(sum(distance * distance for distance in below)),
        value + np.sqrt(sum(distance * distance for distance in above)),
    )


def mean_distances(values: Array, confidence: float, beside: Array = 0.0) -> Limits:
    """Return how far the interval of a mean reaches below and above it, for few values of any skew.

    Args:
        values: shape (..., n) with n > 1.
        confidence: of the interval.
        beside: another variance of the same mean, which is better known: it adds degrees of freedom.
    """
    n = values.shape[-1]
    mean = values.mean(-1, keepdims=True)
    variance = ((values - mean) ** 2).sum(-1) / (n - 1)
    differ = variance > 1e-24
    scale = np.where(differ, variance, 1.0)
    # Satterthwaite (1946) takes the ratio's square, which is too much for a variance that few values underestimate.
    more = np.minimum((scale / n + beside) / (scale / n), 1e12) ** 0.25
    quantile = t_quantile((n - 1) * more, 1 - max(FEWEST_MISSED, 1 - 2 / n) * (1 - confidence)) / np.sqrt(n)
    # Of three values the skewness says next to nothing, so that it is trusted the less the fewer they are.
    skew = (1 - 2 / n) * ((values - mean) ** 3).mean(-1) / scale**1.5
    curved = np.abs(skew) > 1e-6
    skew = np.where(curved, skew, 1.0)
    below, above = (
        np.where(curved, sign * 3 / skew * (np.cbrt(1 + skew * (sign * quantile - skew / (6 * n))) - 1), quantile)
        for sign in (1.0, -1.0)
    )
    spread = np.sqrt(scale)
    below, above = (np.where(differ, spread * np.maximum(each, 0.0), 0.0) for each in (below, above))
    return below, above
