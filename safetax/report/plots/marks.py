"""Pieces that both kinds of plots draw: bars, thin lines of single seeds, the marks of base model and LRM, legends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from safetax.report.plots.style import Theme
from safetax.results.document import Curve, CurvePoint
from safetax.results.metrics import BROKEN, MANY_BROKEN
from safetax.statistics import OverSeeds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Reach = tuple[list[float], list[float]]
"""How far bars reach below and above their points."""


def reach(scores: Iterable[OverSeeds]) -> Reach:
    """Return how far ``low`` and ``high`` are from ``mean``."""
    scores = list(scores)
    below = [max(score.mean - score.low, 0.0) for score in scores]
    return below, [max(score.high - score.mean, 0.0) for score in scores]


def bars(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    color: str,
    *,
    xerr: Reach | None = None,
    yerr: Reach | None = None,
) -> None:
    """Draw thin bars without caps behind the points."""
    axes.errorbar(x, y, fmt="none", ecolor=color, elinewidth=1.1, alpha=0.55, zorder=2, xerr=xerr, yerr=yerr)


def line(style: Mapping[str, Any], theme: Theme) -> dict[str, Any]:
    """Return a line's settings with a marker that stands out from lines and bars below it."""
    return {
        **style,
        "linewidth": 1.7,
        "markersize": 6.2,
        "markeredgecolor": theme.paper,
        "markeredgewidth": 0.8,
        "zorder": 4,
    }


def lrm_mark(theme: Theme) -> dict[str, Any]:
    """Return the settings of the mark of an LRM."""
    return {
        "marker": "*",
        "markersize": 13,
        "color": theme.ink,
        "markeredgecolor": theme.paper,
        "markeredgewidth": 0.8,
        "linestyle": "none",
        "zorder": 6,
        "clip_on": False,
    }


def base_mark(theme: Theme) -> dict[str, Any]:
    """Return the settings of the mark of a base model."""
    return lrm_mark(theme) | {"marker": "h", "markersize": 9, "color": theme.base}


def mark_broken(axes: Axes, points: Iterable[tuple[float, float, CurvePoint]], theme: Theme) -> None:
    """Cross out the points whose harmful score rests on many broken answers.

    Args:
        axes: where they are drawn.
        points: where each point stands, and the point.
        theme: the colours.
    """
    crossed = [(x, y) for x, y, point in points if rests_on_broken(point)]
    if crossed:
        axes.plot(
            *zip(*crossed, strict=True),
            marker="x",
            markersize=10,
            markeredgewidth=2.0,
            color=theme.ink,
            linestyle="none",
            zorder=7,
            label="many broken answers",
        )


def rests_on_broken(point: CurvePoint) -> bool:
    """Whether so many answers to harmful prompts are broken that a point says more of damage than of safety."""
    share = point.scores.get(BROKEN)
    return share is not None and share.mean > MANY_BROKEN


def lrm_points(curves: Iterable[Curve]) -> list[CurvePoint]:
    """Return the points at epoch 0, each once: curves share it where their LRMs are the same."""
    points = {p.checkpoints: p for curve in curves for p in curve.points if not p.epochs}
    return list(points.values())


def seed_lines(points: Sequence[CurvePoint], metrics: Sequence[str]) -> Iterable[tuple[list[int], list[list[float]]]]:
    """Yield for each seed (and draw of data) the numbers of its points and, for each metric, its values there.

    Nothing is yielded where there is one seed; a seed starts from its own LRM, which others may share.
    """
    seeds = list(dict.fromkeys(seed for point in points if point.epochs for seed in point.seeds))
    if len(seeds) < 2:
        return
    for seed in seeds:
        numbers, values = [], [[] for _ in metrics]
        for number, point in enumerate(points):
            places = [index for index, other in enumerate(point.seeds) if other == seed]
            if not point.epochs:
                places = places or [index for index, other in enumerate(point.seeds) if other[1] == seed[1]]
            if places:
                numbers.append(number)
                for index, metric in enumerate(metrics):
                    values[index].append(point.scores[metric].values[places[0]])
        yield numbers, values


def limits(axes: Axes) -> tuple[float, float]:
    """Return limits of a percent axis that hold everything drawn with some air, and no more than that of 0 to 100.

    They are never closer than 20 points, so that noise does not look like an effect.
    """
    low, high = axes.dataLim.y0, axes.dataLim.y1
    missing = max(20 - (high - low), 0)
    high = min(high + missing / 2, max(high, 100))
    low = min(low, high - 20)
    air = 0.05 * max(high - low, 10)
    return max(low - air, -3.5), min(high + air, 104)


def legend(figure: Figure, panels: Iterable[Axes], beside: Sequence[str] = ()) -> None:
    """Put one legend above the panels, in as many columns as fit; or, in the order ``beside``, to their right."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if not found:
        return
    if beside:
        names = [*beside, *(name for name in found if name not in beside)]
        figure.legend([found[n] for n in names], names, loc="outside right upper", handlelength=3.4, labelspacing=0.65)
        return
    # In inches, at the legend's font size: a handle with its gaps, and a letter.
    widths = [0.68 + 0.088 * len(label) for label in found]
    rows = 1
    while sum(sorted(widths)[-math.ceil(len(widths) / rows) :]) > figure.get_figwidth() - 0.3 and rows < len(widths):
        rows += 1
    figure.legend(
        list(found.values()),
        list(found),
        loc="outside upper center",
        ncols=math.ceil(len(widths) / rows),
        handlelength=3.0,
        columnspacing=1.6,
    )
