"""Panels over alignment epochs, as the paper draws them: harmful score and accuracy, or refusal and help."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from safetax.formatting import epochs_text
from safetax.report.plots.captions import footnote_text, line_labels
from safetax.report.plots.marks import bars, legend, limits, line, lrm_mark, lrm_points, mark_broken, reach, seed_lines
from safetax.report.plots.published import mark_published, published_key, published_points
from safetax.report.plots.style import CROWDED, Theme, footnote
from safetax.results.document import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 3
"""Panels beside each other."""


def draw_panels(results: Results, metrics: Mapping[str, str], theme: Theme, same_scale: bool = False) -> Figure:
    """Draw one panel for each metric over the epochs; the LRM is the point at epoch 0 that all lines share.

    What was published of the same quantities is drawn as hollow markers. With ``same_scale`` the panels share their
    vertical axis, so that they can be compared.
    """
    from matplotlib.figure import Figure

    curves = results.curves
    labels = line_labels(curves)
    epochs = sorted({point.epochs for curve in curves for point in curve.points})
    last = epochs[-1] or 1.0
    columns, rows = min(len(metrics), ACROSS), math.ceil(len(metrics) / ACROSS)
    crowded = len(curves) > CROWDED
    width = (4.1 if columns < ACROSS else 3.5) * max(columns, 1.4)
    size = (width + 0.5 + 0.09 * max(map(len, labels)), 4.6 * rows) if crowded else (width, 3.9 * rows)
    figure = Figure(figsize=size, layout="constrained")
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(wspace=0.06)  # type: ignore[call-arg]
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    panels = grid[: len(metrics)]
    for unused in grid[len(metrics) :]:
        unused.set_axis_off()
    published = published_points(results, list(metrics))
    for axes, (metric, name) in zip(panels, metrics.items(), strict=True):
        for index, curve in enumerate(curves):
            points = [point for point in curve.points if metric in point.scores]
            scores = [point.scores[metric] for point in points]
            # Side by side where lines meet, so that bars do not hide each other; the shared point stays at 0.
            shift = (index - (len(curves) - 1) / 2) * min(0.009, 0.07 / len(curves)) * last
            x = [point.epochs + (shift if point.epochs else 0.0) for point in points]
            style = theme.line(index)
            for numbers, (values,) in [] if crowded else seed_lines(points, [metric]):
                axes.plot([x[number] for number in numbers], values, color=style["color"], linewidth=0.7, alpha=0.4)
            aligned = [number for number, point in enumerate(points) if point.epochs]
            means = [score.mean for score in scores]
            spans = reach(scores[number] for number in aligned)
            bars(axes, [x[n] for n in aligned], [means[n] for n in aligned], style["color"], yerr=spans)
            axes.plot(x, means, **line(style, theme), markevery=aligned, label=labels[index])
            mark_broken(axes, zip(x, means, points, strict=True), theme)
        for point in lrm_points(curves):
            if metric in point.scores:
                score = point.scores[metric]
                bars(axes, [0], [score.mean], theme.ink, yerr=reach([score]))
                axes.plot([0], [score.mean], **lrm_mark(theme), label="LRM")
        for point in published:
            if metric in point.values and point.role != "base" and point.epochs <= last:
                mark_published(axes, point.epochs, point.values[metric], point, theme)
        axes.set(xlabel="Safety Alignment Epochs", ylabel=f"{name} (%)", xlim=(-0.05 * last, 1.05 * last))
        axes.set_xticks(_ticks(epochs), minor=False)
        axes.xaxis.set_major_formatter(lambda value, _: epochs_text(value))
        axes.set_ylim(*limits(axes))
    if same_scale:
        low, high = zip(*(axes.get_ylim() for axes in panels), strict=True)
        for axes in panels:
            axes.set_ylim(min(low), max(high))
    if published:
        published_key(panels[0], results, theme)
    legend(figure, panels, _from_above(results, list(metrics)[-1], labels) if crowded else ())
    footnote(figure, footnote_text(results, metrics), theme)
    return figure


def _from_above(results: Results, metric: str, labels: Sequence[str]) -> list[str]:
    """Return the labels in the order in which their lines end in the last panel, the highest first."""
    ends = {}
    for curve, label in zip(results.curves, labels, strict=True):
        scores = [point.scores[metric].mean for point in curve.points if metric in point.scores]
        ends[label] = scores[-1] if scores else -math.inf
    return sorted(ends, key=lambda label: -ends[label])


def _ticks(epochs: Iterable[float]) -> list[float]:
    """Return the epoch counts that have room for a number: none nearer than a fourteenth of the axis to another."""
    ticks: list[float] = []
    epochs = sorted(epochs)
    for value in epochs:
        if not ticks or value - ticks[-1] >= epochs[-1] / 14:
            ticks.append(value)
    return ticks
