"""What a planned evaluation could tell apart: minimum detectable effects, in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

POWER = 0.8
ERROR = 0.05
DISCORDANCE = 0.2
"""Share of prompts on which two checkpoints differ that a plan assumes: of one answer each, before any is known."""
REPEATED = 0.5
"""Share of the variance of a single pair that lies between problems and that repeats do not lower."""


def detectable_difference(
    sizes: Sequence[tuple[int, int]], discordance: float = DISCORDANCE, power: float = POWER, error: float = ERROR
) -> float:
    """Return the least paired difference of two means over benchmarks that is found with a power, in 0..1.

    Connor (1987) for one benchmark, without the small term of the difference in its own variance; the variances of
    independent benchmarks add up.

    Args:
        sizes: prompts and samples of each, by benchmark.
        discordance: share of prompts on which the two sides differ, a sample each.
        power: probability to find it.
        error: two-sided probability to find one that is not there.
    """
    normal = NormalDist()
    factor = normal.inv_cdf(1 - error / 2) + normal.inv_cdf(power)
    variance = math.fsum(discordance * (REPEATED + (1 - REPEATED) / samples) / n for n, samples in sizes)
    return min(1.0, factor * math.sqrt(variance) / len(sizes))
