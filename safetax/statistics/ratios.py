"""The interval of a ratio of sums over samples, such as a perplexity's logarithm."""

from __future__ import annotations

import math
from collections.abc import Mapping

from safetax.statistics.estimates import CONFIDENCE, Estimate


def ratio_of_sums(parts: Mapping[str, tuple[float, float]], confidence: float = CONFIDENCE) -> Estimate | None:
    """Return the sum of the first numbers over the sum of the second, with its interval over other samples.

    The residuals of the ratio estimator (Cochran 1977, 6.3), with Hall's transformation (1992) for their skew. None of
    a single sample, which says nothing of how samples differ, or where all have the same ratio.

    Args:
        parts: sample id to its two numbers, such as a sum of negative log-likelihoods in nats and its tokens; the
            second is above 0.
        confidence: of the interval.
    """
    import numpy as np

    from safetax.statistics.limits import mean_distances

    pairs = sorted(parts.values())
    value = math.fsum(first for first, _ in pairs) / (whole := math.fsum(second for _, second in pairs))
    residuals = np.array([(first - value * second) * len(pairs) / whole for first, second in pairs])
    if len(pairs) == 1 or np.ptp(residuals) < 1e-12:
        return None
    below, above = mean_distances(residuals, confidence)
    low = value - float(below)
    return Estimate(value, low if pairs[0][0] < 0 else max(0.0, low), value + float(above))
