"""Lines of the trade-off: curves over epochs, and weights between the LRM's and an aligned model's as one path."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from safetax.formatting import epochs_text
from safetax.results.document import Curve, CurvePoint

_SHARE = re.compile(r"(?:, )?interpolation=[\d.]+")


@dataclass(frozen=True)
class TradeoffLine:
    """A line of the trade-off in the style of the curve with that number; ``told`` stands at each of its points."""

    number: int
    label: str
    points: tuple[CurvePoint, ...]
    told: tuple[str, ...]

    def with_scores(self, metrics: Set[str]) -> TradeoffLine:
        """Return the line with those of its points alone that have the scores."""
        kept = [number for number, point in enumerate(self.points) if metrics <= point.scores.keys()]
        points, told = ([each[number] for number in kept] for each in (self.points, self.told))
        return replace(self, points=tuple(points), told=tuple(told))


def paths(curves: Sequence[Curve]) -> list[TradeoffLine]:
    """Return the lines to draw, whose points are told by their epochs.

    Curves that differ in the share of the aligned weights alone are one line from the LRM over the shares, ascending;
    each of its points at the last epochs is told by its share.
    """
    several = len({curve.model for curve in curves}) > 1
    lines: dict[tuple[Any, ...], list[int]] = {}
    for number, curve in enumerate(curves):
        between = curve.interpolation is not None
        variant = _SHARE.sub("", curve.variant) if between else curve.variant
        alone = None if between else number
        lines.setdefault((curve.model, curve.dataset, variant, alone), []).append(number)
    found = []
    for (model, dataset, variant, alone), numbers in lines.items():
        if alone is not None:
            label, points = curves[alone].label, curves[alone].points
            told = [epochs_text(point.epochs) for point in points]
        else:
            ordered = sorted((curves[number] for number in numbers), key=lambda curve: curve.interpolation or 0.0)
            start = [point for point in ordered[-1].points if not point.epochs]
            label = f"{dataset}, weights interpolated" + (f" ({variant.removeprefix(', ')})" if variant else "")
            points = (*start, *(curve.points[-1] for curve in ordered))
            told = [epochs_text(0.0)] * len(start) + [f"×{curve.interpolation:g}" for curve in ordered]
        found.append(TradeoffLine(numbers[-1], f"{model}: {label}" if several else label, points, tuple(told)))
    return found
