"""Safety tax against distribution shift: one point for each method, on a logarithmic axis of perplexity.

Each model, and each way in which it was evaluated, has a panel of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from safetax.formatting import epochs_in_words, level
from safetax.report.plots.captions import closing_text, line_labels
from safetax.report.plots.labels import Label, Segment, place_labels
from safetax.report.plots.marks import bars, legend, line
from safetax.report.plots.style import Theme, footnote
from safetax.results.document import Results
from safetax.results.metrics import ACCURACY, SAFETY_TAX
from safetax.results.shifts import FEWEST_METHODS, Correlation, DistributionShifts, EvaluationSetting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_TICKS = 10
TICKS = (1, 1.2, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000)


def draw_shift(results: Results, shifts: DistributionShifts, theme: Theme) -> Figure:
    """Draw tax over perplexity; a hollow marker is the same data before refinement, a faint one another epoch count."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 1.2 + 4.4 * len(shifts.settings)), layout="constrained")
    panels = figure.subplots(len(shifts.settings), squeeze=False)[:, 0]
    curves = results.curves
    names = line_labels(curves) if len(shifts.settings) == 1 else [curve.label for curve in curves]
    settings = zip(panels, shifts.settings, strict=True)
    to_place = [_draw_setting(axes, setting, names, theme) for axes, setting in settings]
    legend(figure, panels)
    footnote(figure, shift_text(results, shifts), theme)
    figure.draw_without_rendering()
    for axes, (labels, markers, segments) in zip(panels, to_place, strict=True):
        place_labels(axes, labels, markers, segments, size=8.5, halo=theme.paper)
    return figure


def _draw_setting(
    axes: Axes, setting: EvaluationSetting, names: Sequence[str], theme: Theme
) -> tuple[list[Label], list[tuple[float, float]], list[Segment]]:
    """Draw a panel and return its labels, markers and lines, for the labels to be placed."""
    labels: list[Label] = []
    markers: list[tuple[float, float]] = []
    segments: list[Segment] = []
    axes.set_xscale("log")
    axes.axhline(0, color=theme.faint, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    _draw_others(axes, setting, theme)
    for point in setting.chosen:
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
    if any(point.before is not None for point in setting.chosen):
        hollow: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": theme.ink}
        axes.plot([], [], marker="o", color=theme.ink, linestyle="none", label="the data trained on")
        axes.plot([], [], "o", markersize=6.5, label="the same data before refinement", **hollow)
    axes.set_xlabel("Perplexity of the alignment data under the LRM (log scale)")
    axes.set_ylabel("Safety Tax (points of accuracy)")
    title = "\n".join(filter(None, [setting.name, correlation_text(setting.correlation)]))
    axes.set_title(title, loc="left", fontsize=9.5)
    axes.margins(0.07, 0.09)
    _ticks(axes)
    return labels, markers, segments


def correlation_text(correlation: Correlation | None) -> str:
    """Return the correlation as it stands above the points, or that none is claimed."""
    if correlation is None:
        return f"No rank correlation: fewer than {FEWEST_METHODS} methods, or nothing to rank"
    sure = "" if correlation.low is None else f" [{correlation.low:.2f}, {correlation.high:.2f}]"
    return f"Spearman’s ρ = {correlation.value:.2f}{sure}, {_counts(correlation)}".replace("-", "−")


def shift_text(results: Results, shifts: DistributionShifts) -> str:
    """Return the caption: at which epochs, how the correlation was made, and what the bars are."""
    chosen = [point for setting in shifts.settings for point in setting.chosen]
    several = len(shifts.settings) > 1
    sentences = [
        "Perplexity: token-weighted, of the alignment data’s training targets under the frozen LRM.",
        f"Marked: {_epochs(shifts)}, the largest count that most methods share.",
    ]
    if several:
        sentences.insert(
            1,
            "Each model and way of evaluation has a panel and a correlation of its own: perplexities under different "
            "LRMs have no common scale, and scores of different evaluations are not the same scores.",
        )
    if len(chosen) < len(shifts.points):
        sentences.append("Faint: other epoch counts, in no correlation.")
    if any(point.before is not None for point in chosen):
        sentences.append("Hollow: the same data before refinement, at the tax of what was trained on.")
    confidence = level(results.confidence)
    claimed = [setting.correlation for setting in shifts.settings if setting.correlation is not None]
    if len(claimed) < len(shifts.settings):
        where = " in a panel" if several else ""
        sentences.append(
            f"With fewer than {FEWEST_METHODS} methods{where}, or where all are alike, no correlation is claimed."
        )
    if claimed:
        counts = "; ".join(dict.fromkeys(map(_counts, claimed)))
        how = []
        if any(correlation.low is not None for correlation in claimed):
            how.append(
                f"{confidence} interval by Fisher’s transformation with as many observations as there are methods"
            )
        if any(correlation.low is None for correlation in claimed):
            how.append("where all are in one order, there is no interval")
        sentences.append(
            f"Spearman’s rank correlation: over the points marked ({counts}), on the data trained on; {'; '.join(how)}."
        )
    seeds = any(len(point.runs) > 1 for point in chosen)
    if seeds:
        shared = f"of perplexity, where all runs share their data, its {confidence} interval"
        sentences.append(f"Bars: {confidence} intervals of the means over runs; {shared}. Dots: single runs.")
    else:
        sentences.append(f"Bars: {confidence} intervals.")
    return " ".join([*sentences, closing_text(results, [SAFETY_TAX, ACCURACY])])


def describe_shift(shifts: DistributionShifts, title: str, names: list[str]) -> str:
    """Return the plot in words: for each panel the correlation, and perplexity and tax of each method."""
    said = [f"{title}."]
    for setting in shifts.settings:
        said.append(f"{setting.name and f'{setting.name}: '}{correlation_text(setting.correlation)}.")
        for point in sorted(setting.chosen, key=lambda point: point.after.value):
            before = "" if point.before is None else f" (before refinement {point.before:.2f})"
            said.append(
                f"{names[point.curve]}: perplexity {point.after.value:.2f}{before}, tax {point.tax.value:.1f} points."
            )
    return " ".join(said)


def _epochs(shifts: DistributionShifts) -> str:
    """Return at which epoch count the points are marked, by panel where panels differ in it."""
    told = {setting.name: epochs_in_words(setting.epochs) for setting in shifts.settings}
    counts = list(dict.fromkeys(told.values()))
    return counts[0] if len(counts) == 1 else ", ".join(f"{count} ({name})" for name, count in told.items())


def _draw_others(axes: Axes, setting: EvaluationSetting, theme: Theme) -> None:
    """Draw the points of other epoch counts, and a faint line through all points of a method."""
    ordered = sorted(setting.points, key=lambda point: (point.curve, point.epochs))
    for curve, points in groupby(ordered, key=lambda point: point.curve):
        style, each = theme.line(curve), list(points)
        x, y = [point.after.value for point in each], [point.tax.value for point in each]
        axes.plot(x, y, color=style["color"], linewidth=0.7, alpha=0.25, zorder=1)
        others = [number for number, point in enumerate(each) if point.epochs != setting.epochs]
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
