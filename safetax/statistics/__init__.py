"""Intervals of what is measured, corrected comparisons, and what a planned run could tell apart."""

from safetax.statistics.comparisons import holm
from safetax.statistics.estimates import CONFIDENCE, Estimate, Groups, OverSeeds, Sample, Values
from safetax.statistics.power import detectable_difference
from safetax.statistics.ratios import ratio_of_sums
from safetax.statistics.scores import (
    estimate,
    geometric_mean,
    intervals,
    mean_and_sd,
    mean_of_benchmarks,
    mean_over_runs,
    over_seeds,
    p_value,
    paired_difference,
    proportion,
    wilson,
)

__all__ = [
    "CONFIDENCE",
    "Estimate",
    "Groups",
    "OverSeeds",
    "Sample",
    "Values",
    "detectable_difference",
    "estimate",
    "geometric_mean",
    "holm",
    "intervals",
    "mean_and_sd",
    "mean_of_benchmarks",
    "mean_over_runs",
    "over_seeds",
    "p_value",
    "paired_difference",
    "proportion",
    "ratio_of_sums",
    "wilson",
]
