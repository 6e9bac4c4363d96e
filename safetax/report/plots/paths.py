"""Lines of the trade-off: curves over epochs, and weights between the LRM's and an aligned model's as one path."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from safetax.report.plots.captions import epochs_text

_SHARE = re.compile(r"(?:, )?interpolation=[\d.]+")

Curve = Mapping[str, Any]


def paths(curves: Sequence[Curve]) -> list[tuple[int, Curve]]:
    """Return the lines to draw, each with the number of the curve whose style it has.

    Curves that differ in the share of the aligned weights alone are one line from the LRM over the shares, ascending;
    each of its points at the last epochs says its share as ``told``.
    """
    lines: dict[tuple[Any, ...], list[int]] = {}
    for number, curve in enumerate(curves):
        between = curve.get("interpolation") is not None
        variant = _SHARE.sub("", curve["variant"]) if between else curve["variant"]
        alone = None if between else number
        lines.setdefault((curve["model"], curve["dataset"], variant, alone), []).append(number)
    found = []
    for (_, dataset, variant, alone), numbers in lines.items():
        if alone is not None:
            found.append((alone, curves[alone]))
            continue
        ordered = sorted((curves[number] for number in numbers), key=lambda curve: curve["interpolation"])
        start = [point for point in ordered[-1]["points"] if not point["epochs"]]
        shares = [
            {**curve["points"][-1], "told": f"×{curve['interpolation']:g}"} for curve in ordered if curve["points"]
        ]
        label = f"{dataset}, weights interpolated" + (f" ({variant.removeprefix(', ')})" if variant else "")
        found.append((numbers[-1], {**ordered[-1], "label": label, "points": [*start, *shares]}))
    return found


def told(point: Mapping[str, Any]) -> str:
    """Return what stands at a point: its share of the aligned weights, or its epochs."""
    return point.get("told") or epochs_text(point["epochs"])
