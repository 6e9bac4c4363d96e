"""Spearman's rank correlation with a bootstrap interval, for points of which some belong together."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safetax.statistics import CONFIDENCE, RESAMPLES

FEWEST = 4
"""Groups below which no correlation is claimed: of three, one order in three is monotone by chance."""


@dataclass(frozen=True)
class Correlation:
    """A rank correlation, its interval (None where every resample gives the same), and what it was made from."""

    value: float
    low: float | None
    high: float | None
    n: int
    groups: int


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation; ties have their mean rank. None where all of ``x`` or of ``y`` are equal.

    Spearman (1904); with ties it is Pearson's correlation of the mean ranks. Raises ValueError for unequal lengths.
    """
    if len(x) != len(y):
        raise ValueError(f"{len(x)} values and {len(y)} values are no pairs")
    if not x:
        return None
    return _pearson(_ranks(np.asarray(x, dtype=np.float64)), _ranks(np.asarray(y, dtype=np.float64)))


def rank_correlation(
    x: Sequence[float], y: Sequence[float], groups: Sequence[Hashable], confidence: float = CONFIDENCE
) -> Correlation | None:
    """Return the correlation of ``x`` and ``y`` over all points, with the percentile interval of a bootstrap.

    A resample takes whole groups: runs of one method that differ in their seed alone are no independent points. It is
    seeded by the groups' names and sizes, so that the same points always give the same interval. None with fewer than
    ``FEWEST`` groups, or where there is nothing to rank.
    """
    members: dict[Hashable, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault(group, []).append(number)
    value = spearman(x, y) if len(members) >= FEWEST else None
    if value is None:
        return None
    names = [f"{name} {len(numbers)}" for name, numbers in members.items()]
    digest = hashlib.sha256("\n".join(names).encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
    blocks = [np.array(numbers) for numbers in members.values()]
    left, right = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    draws = []
    for chosen in generator.integers(0, len(blocks), size=(RESAMPLES, len(blocks))):
        rows = np.concatenate([blocks[number] for number in chosen])
        drawn = _pearson(_ranks(left[rows]), _ranks(right[rows]))
        if drawn is not None:  # a resample of one group alone may have nothing to rank
            draws.append(drawn)
    tail = (1 - confidence) / 2
    low, high = (float(end) for end in np.quantile(draws, [tail, 1 - tail]))
    certain = high - low < 1e-12  # all agree, which tells how few there are and not how sure the value is
    return Correlation(
        value, None if certain else min(low, value), None if certain else max(high, value), len(x), len(members)
    )


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank of each value, shape (n,), from 1; equal values share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[places]


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float | None:
    one, other = x - x.mean(), y - y.mean()
    scale = float((one * one).sum() * (other * other).sum()) ** 0.5
    return None if scale < 1e-12 else max(-1.0, min(1.0, float((one * other).sum()) / scale))
