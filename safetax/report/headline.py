"""What the results say, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from safetax.results.document import PointScore, Results
from safetax.results.metrics import SAFETY_TAX
from safetax.results.sample_counts import without_fewer
from safetax.statistics import Estimate, OverSeeds


@dataclass(frozen=True)
class Sentence:
    """What the longest alignment on a data set cost and brought."""

    model: str
    dataset: str
    epochs: float
    seeds: int
    bars: str
    tax: PointScore
    verdict: Literal["cost", "gained", "unclear"]
    scores: Mapping[str, PointScore]
    """All scores of that point, by metric."""
    start: Mapping[str, PointScore]
    """Those of the LRM."""


def sentences(results: Results) -> list[Sentence]:
    """Return for each dataset what its longest alignment cost and brought, the costliest first.

    Of runs that differ in how many samples of a data set they had, only those with the most are told of.
    """
    found = []
    for curve in without_fewer(results).curves:
        points = [point for point in curve.points if point.epochs and SAFETY_TAX in point.scores]
        if points:
            last = max(points, key=lambda point: point.epochs)
            start = next((point.scores for point in curve.points if not point.epochs), {})
            tax = last.scores[SAFETY_TAX]
            told = (len(last.seeds), last.bars, tax, verdict(tax), last.scores, start)
            found.append(Sentence(curve.model, curve.label, last.epochs, *told))
    return sorted(found, key=lambda entry: (-entry.tax.mean, entry.model, entry.dataset))


def verdict(tax: Estimate | OverSeeds) -> Literal["cost", "gained", "unclear"]:
    """Say what the interval of one seed or the range of several allows: "cost", "gained" or (it holds 0) "unclear"."""
    if tax.low <= 0 <= tax.high:
        return "unclear"
    return "cost" if tax.low > 0 else "gained"
