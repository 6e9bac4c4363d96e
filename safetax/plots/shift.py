"""Safety tax against distribution shift: one point for each method, on a logarithmic axis of perplexity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from safetax.plots.captions import closing_text, epochs_text, line_labels
from safetax.plots.labels import Label, Segment, place_labels
from safetax.plots.marks import bars, legend, line
from safetax.plots.style import Theme, footnote
from safetax.rank_correlation import FEWEST, Correlation
from safetax.shifts import TAX, Shifts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_TICKS = 10
TICKS = (1, 1.2, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000)


def draw_shift(results: Mapping[str, Any], shifts: Shifts, theme: Theme) -> Figure:
    """Draw tax over perplexity; a hollow marker is the same data before refinement, a faint one another epoch count."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 5.6), layout="constrained")
    axes = figure.subplots()
    names = line_labels(results["curves"])
    labels: list[Label] = []
    markers: list[tuple[float, float]] = []
    segments: list[Segment] = []
    axes.set_xscale("log")
    axes.axhline(0, color=theme.faint, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    _draw_others(axes, shifts, theme)
    for point in shifts.chosen:
        style = theme.line(point.curve)
        x, y = point.after, point.tax
        reach = {"xerr": ([x.value - x.low], [x.high - x.value]), "yerr": ([y.value - y.low], [y.high - y.value])}
        bars(axes, [x.value], [y.value], style["color"], **reach)
        if point.before is not None:
            axes.plot([point.before, x.value], [y.value] * 2, color=style["color"], linewidth=0.8, alpha=0.7, zorder=2)
            empty: dict[str, Any] = {
                "markerfacecolor": theme.paper,
                "markeredgecolor": style["color"],
                "markeredgewidth": 1.2,
            }
            axes.plot([point.before], [y.value], marker=style["marker"], markersize=6.5, zorder=3, **empty)
            segments.append(((point.before, y.value), (x.value, y.value)))
            markers.append((point.before, y.value))
        if len(point.runs) > 1:
            seeds: dict[str, Any] = {"marker": ".", "linestyle": "none", "markersize": 4, "alpha": 0.55, "zorder": 3}
            axes.plot(*zip(*point.runs, strict=True), color=style["color"], **seeds)
        axes.plot([x.value], [y.value], **line(style, theme) | {"linestyle": "none", "markersize": 8})
        markers.append((x.value, y.value))
        segments += [((x.low, y.value), (x.high, y.value)), ((x.value, y.low), (x.value, y.high))]
        labels.append(Label(x.value, y.value, names[point.curve], theme.text(style["color"]), room=1.5, far=True))
    if any(point.before is not None for point in shifts.chosen):
        hollow: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": theme.ink}
        axes.plot([], [], marker="o", color=theme.ink, linestyle="none", label="the data trained on")
        axes.plot([], [], "o", markersize=6.5, label="the same data before refinement", **hollow)
    axes.set_xlabel("Perplexity of the alignment data under the LRM (log scale)")
    axes.set_ylabel("Safety Tax (points of accuracy)")
    axes.set_title(correlation_text(shifts.correlation), loc="left", fontsize=9.5)
    axes.margins(0.07, 0.09)
    _ticks(axes)
    legend(figure, [axes])
    footnote(figure, shift_text(results, shifts), theme)
    figure.draw_without_rendering()
    place_labels(axes, labels, markers, segments, size=8.5, halo=theme.paper)
    return figure


def correlation_text(correlation: Correlation | None) -> str:
    """Return the correlation as it stands above the points, or that none is claimed."""
    if correlation is None:
        return f"No rank correlation: fewer than {FEWEST} methods, or nothing to rank"
    sure = "" if correlation.low is None else f" [{correlation.low:.2f}, {correlation.high:.2f}]"
    return f"Spearman’s ρ = {correlation.value:.2f}{sure}, {_counts(correlation)}".replace("-", "−")


def shift_text(results: Mapping[str, Any], shifts: Shifts) -> str:
    """Return the caption: at which epochs, how the correlation was made, and what the bars are."""
    epochs = epochs_text(shifts.epochs)
    sentences = [
        "Perplexity: token-weighted, of the alignment data’s training targets under the frozen LRM.",
        f"Marked: {epochs} epoch{'' if shifts.epochs == 1 else 's'}, the largest count that most methods share.",
    ]
    if len(shifts.chosen) < len(shifts.points):
        sentences.append("Faint: other epoch counts, in no correlation.")
    if any(point.before is not None for point in shifts.chosen):
        sentences.append("Hollow: the same data before refinement, at the tax of what was trained on.")
    level = f"{100 * results['confidence']:g} %"
    if shifts.correlation is None:
        sentences.append(f"With fewer than {FEWEST} methods, or where all are alike, no correlation is claimed.")
    else:
        how = f"{level} interval by bootstrap over methods, whose runs are resampled together"
        if shifts.correlation.low is None:
            how = "every resample gives the same, so there is no interval"
        sentences.append(
            f"Spearman’s rank correlation: over the points marked ({_counts(shifts.correlation)}), on the data trained "
            f"on; {how}."
        )
    seeds = any(len(point.runs) > 1 for point in shifts.chosen)
    if seeds:
        shared = f"of perplexity, where all runs share their data, its {level} interval"
        sentences.append(f"Bars: smallest to largest run; {shared}. Dots: single runs.")
    else:
        sentences.append(f"Bars: {level} intervals.")
    return " ".join([*sentences, closing_text(results, [TAX, "accuracy"])])


def describe_shift(shifts: Shifts, title: str, names: list[str]) -> str:
    """Return the plot in words: the correlation, and perplexity and tax of each method."""
    said = [f"{title}. {correlation_text(shifts.correlation)}."]
    for point in sorted(shifts.chosen, key=lambda point: point.after.value):
        before = "" if point.before is None else f" (before refinement {point.before:.2f})"
        said.append(
            f"{names[point.curve]}: perplexity {point.after.value:.2f}{before}, tax {point.tax.value:.1f} points."
        )
    return " ".join(said)


def _draw_others(axes: Axes, shifts: Shifts, theme: Theme) -> None:
    """Draw the points of other epoch counts, and a faint line through all points of a method."""
    ordered = sorted(shifts.points, key=lambda point: (point.curve, point.epochs))
    for curve, points in groupby(ordered, key=lambda point: point.curve):
        style, each = theme.line(curve), list(points)
        x, y = [point.after.value for point in each], [point.tax.value for point in each]
        axes.plot(x, y, color=style["color"], linewidth=0.7, alpha=0.25, zorder=1)
        others = [number for number, point in enumerate(each) if point.epochs != shifts.epochs]
        faint = {"linestyle": "none", "markersize": 4.5, "alpha": 0.35, "zorder": 2, "markeredgewidth": 0}
        axes.plot([x[n] for n in others], [y[n] for n in others], color=style["color"], marker=style["marker"], **faint)


def _counts(correlation: Correlation) -> str:
    runs = "" if correlation.n == correlation.groups else f" ({correlation.n} runs)"
    return f"n = {correlation.groups} methods{runs}"


def _ticks(axes: Axes) -> None:
    from matplotlib.ticker import NullLocator

    low, high = axes.get_xlim()
    ticks = [tick for tick in TICKS if low <= tick <= high]
    if len(ticks) > MOST_TICKS:
        ticks = [tick for tick in ticks if math.log10(tick).is_integer()]
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlim(low, high)
