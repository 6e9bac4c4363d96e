"""Intervals: Wilson for one proportion, a bootstrap over prompts for means and differences, the spread over seeds, and
Student's t for a mean over them.

All shares here are of 1, not percent. Everything is a function of its arguments: the bootstrap draws from a
generator that is seeded by the prompts' ids, so the same data always gives the same interval, on any machine.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000

Values = Mapping[str, float]
"""Prompt id to the prompt's value: the mean over its repeats that count."""

Groups = Mapping[str, str]
"""Prompt id to a name that rows with the same prompt share; a prompt that is not in it stands for itself."""


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class OverSeeds:
    """A value over seeds: mean, sample standard deviation and range; of one seed the value with its own interval."""

    mean: float
    sd: float | None
    low: float
    high: float
    values: tuple[float, ...]

    @property
    def exact(self) -> bool:
        """Whether nothing is estimated, as of the LRM's difference from itself."""
        return self.sd is None and self.low == self.high


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """Return the share ``successes / n`` with Wilson's score interval (1927, without continuity correction)."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} of {n} is no proportion")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At the ends centre and half are equal but for rounding.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Estimate(share, low, high)


def mean_of_benchmarks(
    benchmarks: Mapping[str, Values], confidence: float = CONFIDENCE, groups: Groups | None = None
) -> Estimate:
    """Return the unweighted mean of the benchmarks' means, each value in 0..1; prompts are resampled in each benchmark.

    Repeats of a prompt are no prompts of their own: only prompts are resampled, and all rows of a group together.
    """
    import numpy as np

    groups = groups or {}
    value = _mean(_mean(values.values()) for values in benchmarks.values())
    draws = np.mean([_resampled(list(values), [values], groups)[0] for values in benchmarks.values()], axis=0)
    return _interval(value, draws, confidence, _rarest(benchmarks.values(), confidence, groups), 0.0, 1.0)


def paired_difference(
    first: Mapping[str, Values],
    second: Mapping[str, Values],
    confidence: float = CONFIDENCE,
    groups: Groups | None = None,
) -> Estimate:
    """Return mean of ``first`` minus mean of ``second``, each an unweighted mean of the same benchmarks' means.

    A resample takes the same prompts for both sides, so what they share cancels. A prompt that one side lacks (its
    verdict is an error) counts on the other side alone, so the value is the difference of the two reported means.
    """
    import numpy as np

    if first.keys() != second.keys():
        raise ValueError(f"different benchmarks: {sorted(first)} and {sorted(second)}")
    groups = groups or {}
    values, draws = [], []
    for name, left in first.items():
        right = second[name]
        one, other = _resampled([*left, *(prompt for prompt in right if prompt not in left)], [left, right], groups)
        values.append(_mean(left.values()) - _mean(right.values()))
        draws.append(one - other)
    rare = _rarest([*first.values(), *second.values()], confidence, groups)
    return _interval(_mean(values), np.mean(draws, axis=0), confidence, rare, -1.0, 1.0)


def ratio_of_sums(parts: Mapping[str, tuple[float, float]], confidence: float = CONFIDENCE) -> Estimate:
    """Return the sum of the first numbers over the sum of the second, and its interval by a bootstrap over samples.

    Args:
        parts: sample id to its two numbers, such as a sum of negative log-likelihoods in nats and its tokens; the
            second is above 0.
        confidence: of the interval.
    """
    import numpy as np

    sums = np.array(list(parts.values()), dtype=np.float64).reshape(-1, 2)
    value = math.fsum(sums[:, 0]) / math.fsum(sums[:, 1])
    if len(sums) == 1:  # one sample says nothing of how samples differ
        return Estimate(value, value, value)
    generator = seeded_by(parts)
    draws = np.empty(RESAMPLES)
    for resample in range(RESAMPLES):  # one by one: data sets are larger than prompt sets
        first, second = sums[generator.integers(0, len(sums), size=len(sums))].sum(axis=0)
        draws[resample] = first / second
    return bootstrap_interval(value, draws, confidence)


def bootstrap_interval(value: float, draws: NDArray[np.float64], confidence: float = CONFIDENCE) -> Estimate:
    """Return the value with the percentile interval of its bootstrap draws, shape (draws,), which holds the value."""
    import numpy as np

    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Estimate(value, min(float(low), value), max(float(high), value))


def seeded_by(names: Iterable[str]) -> np.random.Generator:
    """Return the random generator that the names of what is resampled seed."""
    import numpy as np

    digest = hashlib.sha256("\n".join(names).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def mean_and_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Return mean and sample standard deviation, which of one value is None."""
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, None
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def over_seeds(scores: Sequence[Estimate]) -> OverSeeds:
    """Return the mean and spread of several seeds' scores, or the score of one seed with its interval."""
    values = tuple(score.value for score in scores)
    mean, sd = mean_and_sd(values)
    if sd is None:
        return OverSeeds(mean, None, scores[0].low, scores[0].high, values)
    return OverSeeds(mean, sd, min(values), max(values), values)


def geometric_mean(values: Iterable[float]) -> float:
    """Return the geometric mean of positive values."""
    return math.exp(_mean(math.log(value) for value in values))


def mean_over_runs(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate | None:
    """Return the mean of a value that each run has one of, with Student's t interval.

    None where that says nothing: of fewer than two runs, or where all agree, which tells how few they are and not how
    sure the mean is.
    """
    mean, sd = mean_and_sd(values)
    if sd is None or max(values) - min(values) < 1e-12:
        return None
    from scipy.stats import t  # slow to import, and only some reports have such values

    half = float(t.ppf((1 + confidence) / 2, len(values) - 1)) * sd / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def _interval(
    value: float, draws: NDArray[np.float64], confidence: float, rare: float, smallest: float, largest: float
) -> Estimate:
    """Return the percentile interval of the draws.

    Where all prompts agree, every resample does too, and the percentiles would claim certainty. Then the interval
    reaches as far as the share ``rare`` of prompts, the most that n prompts without one exception leave room for, could
    move the mean; for one proportion of 0 or 1 this is Wilson's interval.
    """
    import numpy as np

    if np.ptp(draws) < 1e-12:
        return Estimate(value, value - rare * (value - smallest), value + rare * (largest - value))
    return bootstrap_interval(value, draws, confidence)


def _rarest(benchmarks: Iterable[Values], confidence: float, groups: Groups) -> float:
    sizes = (len({groups.get(prompt, prompt) for prompt in values}) for values in benchmarks)
    return max(wilson(0, size, confidence).high for size in sizes)


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return math.fsum(values) / len(values)


def _resampled(prompts: Sequence[str], sides: Sequence[Values], groups: Groups) -> list[NDArray[np.float64]]:
    """Return for each side its means, shape (RESAMPLES,), over the same resamples of ``prompts``."""
    import numpy as np

    named = [groups.get(prompt, prompt) for prompt in prompts] if groups else prompts
    distinct = list(dict.fromkeys(named))
    counts = _counts(tuple(distinct))
    grouped = len(distinct) < len(prompts)
    if grouped:
        places = {name: place for place, name in enumerate(distinct)}
        counts = counts[:, [places[name] for name in named]]
    means = []
    for side in sides:
        values = np.array([side.get(prompt, math.nan) for prompt in prompts])
        present = ~np.isnan(values)
        # einsum column by column and not BLAS, whose sums depend on its threads, and which waits on busy cores.
        sums = np.einsum("rn,n->r", counts, np.where(present, values, 0.0))
        sizes = (
            len(prompts) if present.all() and not grouped else np.einsum("rn,n->r", counts, present.astype(np.float64))
        )
        # A resample without a single value of a side exists only where almost all its verdicts are errors.
        means.append(np.where(np.greater(sizes, 0), sums / np.maximum(sizes, 1), _mean(side.values())))
    return means


@lru_cache(maxsize=16)
def _counts(prompts: tuple[str, ...]) -> NDArray[np.uint16]:
    """Return how often each resample holds each prompt, shape (RESAMPLES, prompts); shared by all checkpoints."""
    import numpy as np

    generator = seeded_by(prompts)
    n = len(prompts)
    chosen = generator.integers(0, n, size=(RESAMPLES, n))
    rows = np.arange(RESAMPLES)[:, None] * n
    return np.bincount((chosen + rows).ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n).astype(np.uint16)
