"""What the intervals must hold: at least 92 % of each cell, 94 to 97 % on average, and no interval of zero width.

A cell may be above 97 % only if no method that holds 95 % could be below: its outcomes are too few.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np
from scipy.stats import binom, multivariate_normal, norm

from bench.coverage.cells import FEW, Cell
from bench.coverage.simulate import Covered
from safetax.statistics.estimates import CONFIDENCE

LEAST, MOST = 0.92, 0.97
MEAN = (0.94, 0.97)

Found = Sequence[tuple[Cell, Covered]]


def mean_of(found: Found) -> float:
    """Return the mean coverage of the cells with enough events."""
    shares = [measured.share for _, measured in found if measured.events >= FEW]
    return float(np.mean(shares)) if shares else CONFIDENCE


def failures(found: Found, experiments: int) -> list[str]:
    """Return a line for each miss; chance in the simulation is allowed three standard errors."""
    missed = []
    for cell, measured in found:
        few = " (few events)" if measured.events < FEW else ""
        if measured.share < LEAST - _chance(LEAST, experiments):
            missed.append(f"{cell.name}: {100 * measured.share:.2f} % is under {100 * LEAST:.0f} %{few}")
        if measured.share > MOST + _chance(MOST, experiments) and not few and least_possible(cell) < MOST:
            missed.append(f"{cell.name}: {100 * measured.share:.2f} % is over {100 * MOST:.0f} %")
        if measured.least <= 0:
            missed.append(f"{cell.name}: an interval of zero width")
    if not MEAN[0] <= mean_of(found) <= MEAN[1]:
        missed.append(f"mean {100 * mean_of(found):.2f} % is not within {100 * MEAN[0]:.0f} to {100 * MEAN[1]:.0f} %")
    return missed


def _chance(share: float, experiments: int) -> float:
    return 3 * sqrt(share * (1 - share) / experiments)


def least_possible(cell: Cell) -> float:
    """Return the least coverage of 95 % or more of any interval whose limits rise with the score, exactly.

    Such an interval holds the truth at all scores between two: of these ranges the least likely that has 95 %. Of
    repeats, of seeds and of several benchmarks, whose scores are many, 0.
    """
    if cell.repeats > 1 or cell.seeds > 1 or len(cell.sizes) > 1:
        return 0.0
    sums = np.concatenate([[0.0], np.cumsum(_scores(cell))])
    ranges = sums[None, 1:] - sums[:-1, None]
    return float(ranges[ranges >= CONFIDENCE - 1e-9].min())


def _scores(cell: Cell) -> np.ndarray:
    """Return the probability of each score of a benchmark, in their order."""
    (size,) = cell.sizes
    if cell.what == "mean":
        return binom.pmf(np.arange(size + 1), size, cell.rates[0])
    first, second = cell.rates
    both = _both(first, second, cell.correlation)
    step = np.array([second - both, 1 - first - second + 2 * both, first - both])
    # The sum of so many steps of -1, 0 and 1, by the Fourier transform of their distribution.
    return np.fft.irfft(np.fft.rfft(step, 2 * size + 1) ** size, 2 * size + 1).clip(0)


def _both(first: float, second: float, correlation: float) -> float:
    """Return the probability that two normals with a correlation are both in their lower tails."""
    if min(first, second) == 0 or max(first, second) == 1 or not correlation:
        return first * second
    drawn: Any = multivariate_normal  # its stubs do not know that it can be called
    normal = drawn([0.0, 0.0], [[1.0, correlation], [correlation, 1.0]])
    return float(normal.cdf(norm.ppf([first, second])))
