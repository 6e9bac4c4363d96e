"""The trade-off: reasoning accuracy against harmful score, one line for each data set from the LRM on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from safetax.formatting import epochs_text
from safetax.report.plots.captions import describe, footnote_text, line_labels
from safetax.report.plots.labels import Label, Segment, place_labels
from safetax.report.plots.marks import (
    bars,
    base_mark,
    legend,
    limits,
    line,
    lrm_mark,
    lrm_points,
    mark_broken,
    reach,
    seed_lines,
)
from safetax.report.plots.paths import TradeoffLine, paths
from safetax.report.plots.published import mark_published, published_key, published_points
from safetax.report.plots.style import CROWDED, Theme, footnote
from safetax.results.curves import mean_of_scores
from safetax.results.document import Checkpoint, Results
from safetax.results.pareto import X, Y, fronts
from safetax.statistics import OverSeeds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST = 3
"""Curves from which on the front is marked."""
CLOSEST = 8.0
"""Points that the closer panel shows at least, so that noise does not look like an effect."""

Limits = tuple[tuple[float, float], tuple[float, float]]
Scores = Mapping[str, OverSeeds]
"""Harmful score and accuracy of a point, by metric."""


def draw_tradeoff(results: Results, theme: Theme) -> Figure:
    """Draw the trade-off; points are numbered by their epochs where a number has room.

    Of many curves the last points are named, in a second panel that shows where those lie. Published checkpoints of
    which both scores are known and the same quantities as ours are hollow markers.
    """
    from matplotlib.figure import Figure

    lines = paths(results.curves)
    crowded = len(lines) > CROWDED
    figure = Figure(figsize=(11.2, 5.8) if crowded else (6.8, 5.4), layout="constrained")
    panels = list(figure.subplots(1, 2, width_ratios=(1, 1.35)) if crowded else [figure.subplots()])
    places = [_Placed(axes) for axes in panels]
    for each in (each.with_scores({X, Y}) for each in lines):
        if crowded:
            _draw_named(places[0], each, "", theme)
            _draw_named(places[1], each, each.label, theme)
        else:
            _draw_numbered(places[0], each, theme)
    for panel in places:
        _draw_marked(panel, results, theme, within=_zoom(results) if panel is not places[0] else None)
    if len(results.curves) >= FEWEST:
        for axes in panels:
            _mark_fronts(axes, results, theme)
    for axes in panels:
        axes.set(xlabel="Harmful Score (%), lower is safer", ylabel="Reasoning Accuracy (%)")
    panels[0].set_xlim(-3, max(min(panels[0].dataLim.x1 * 1.04, 104), 5))
    panels[0].set_ylim(*limits(panels[0]))
    if crowded:
        (left, right), (low, high) = _zoom(results)
        panels[0].set_title("All epochs", loc="left")
        panels[1].set_title("Last epochs, closer", loc="left")
        panels[1].set(xlim=(left, right), ylim=(low, high), ylabel=None)
        corners = [(left, low), (right, low), (right, high), (left, high), (left, low)]
        panels[0].plot(*zip(*corners, strict=True), color=theme.faint, linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
    legend(figure, panels[:1])
    footnote(figure, tradeoff_text(results), theme)
    # Labels are placed on the page, whose layout is known only after it is made once.
    figure.draw_without_rendering()
    for panel in places:
        place_labels(panel.axes, panel.labels, panel.markers, panel.segments, size=8.5, halo=theme.paper)
    return figure


@dataclass
class _Placed:
    """A panel with what is drawn in it and what its labels must keep clear of."""

    axes: Axes
    labels: list[Label] = field(default_factory=list)
    markers: list[tuple[float, float]] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)


def describe_tradeoff(results: Results, title: str, metrics: Mapping[str, str]) -> str:
    """Return the trade-off in words, with what is on the front where that is marked."""
    said = describe(results, title, metrics, marks=True)
    if len(results.curves) < FEWEST:
        return said
    labels = line_labels(results.curves)
    front = [
        "the LRM" if place.curve is None else f"{labels[place.curve]} at {epochs_text(place.epochs)}"
        for places in fronts(results)
        for place in places
    ]
    return f"{said} On the Pareto front, from safe to harmful: {', '.join(front)}."


def _draw_numbered(panel: _Placed, drawn: TradeoffLine, theme: Theme) -> None:
    """Draw a line with bars, its single seeds and what is told at its points."""
    axes, style, points = panel.axes, theme.line(drawn.number), drawn.points
    for _, (x, y) in seed_lines(points, [X, Y]):
        axes.plot(x, y, color=style["color"], linewidth=0.6, alpha=0.3, zorder=1)
    aligned = [number for number, point in enumerate(points) if point.epochs]
    x, y = ([point.scores[metric].mean for point in points] for metric in (X, Y))
    spans = {
        side: reach(points[number].scores[metric] for number in aligned) for side, metric in (("xerr", X), ("yerr", Y))
    }
    bars(axes, [x[number] for number in aligned], [y[number] for number in aligned], style["color"], **spans)
    axes.plot(x, y, **line(style, theme), markevery=aligned, label=drawn.label)
    mark_broken(axes, zip(x, y, points, strict=True), theme)
    panel.segments += pairwise(zip(x, y, strict=True))
    for number in aligned:
        panel.segments += _bar_segments(points[number].scores)
        panel.markers.append((x[number], y[number]))
        panel.labels.append(Label(*panel.markers[-1], drawn.told[number], style["color"]))


def _draw_named(panel: _Placed, drawn: TradeoffLine, name: str, theme: Theme) -> None:
    """Draw one of many lines: faint, but for its last point, which has bars where it has its name."""
    axes, style, points = panel.axes, theme.line(drawn.number), drawn.points
    x, y = ([point.scores[metric].mean for point in points] for metric in (X, Y))
    aligned = [number for number, point in enumerate(points) if point.epochs]
    faint = {"linewidth": 1.0, "markersize": 3.8, "alpha": 0.45, "zorder": 3}
    axes.plot(x, y, **line(style, theme) | faint, markevery=aligned[:-1])
    if not aligned:
        return
    last = {"linestyle": "none", "markersize": 8 if name else 5.5, "zorder": 5}
    axes.plot(x[-1:], y[-1:], **line(style, theme) | last)
    mark_broken(axes, zip(x, y, points, strict=True), theme)
    if name:
        scores = points[-1].scores
        bars(axes, x[-1:], y[-1:], style["color"], xerr=reach([scores[X]]), yerr=reach([scores[Y]]))
        panel.segments += [*pairwise(zip(x, y, strict=True)), *_bar_segments(scores)]
        panel.markers += [(x[number], y[number]) for number in aligned]
        panel.labels.append(Label(x[-1], y[-1], name, theme.text(style["color"]), room=1.5, far=True))


def _draw_marked(panel: _Placed, results: Results, theme: Theme, within: Limits | None) -> None:
    """Draw LRMs, base models and published points; with ``within`` those alone that lie there."""

    def inside(x: float, y: float) -> bool:
        return within is None or (within[0][0] <= x <= within[0][1] and within[1][0] <= y <= within[1][1])

    axes = panel.axes
    for model, name, scores, style in _marked(results, theme):
        x, y = scores[X], scores[Y]
        if not inside(x.mean, y.mean):
            continue
        bars(axes, [x.mean], [y.mean], style["color"], xerr=reach([x]), yerr=reach([y]))
        panel.segments += _bar_segments(scores)
        axes.plot([x.mean], [y.mean], **style, label=name)
        panel.markers.append((x.mean, y.mean))
        called = f"{model} {name}" if len(results.models) > 1 else name
        panel.labels.append(Label(*panel.markers[-1], called, style["color"], room=1.6))
    published = [point for point in published_points(results, [X, Y]) if {X, Y} <= point.values.keys()]
    for point in published:
        x, y = point.values[X], point.values[Y]
        if not inside(x, y):
            continue
        mark_published(axes, x, y, point, theme)
        panel.markers.append((x, y))
        if point.role == "aligned":
            color = theme.base if point.curve is None else theme.line(point.curve)["color"]
            name = f"{point.dataset} " if point.curve is None else ""
            panel.labels.append(Label(x, y, f"{name}{epochs_text(point.epochs)}", color, room=1.5))
    if published:
        published_key(axes, results, theme)


def _zoom(results: Results) -> Limits:
    """Return the limits of harmful score and accuracy that hold each curve's last point with its bars, and some air."""
    found = []
    for curve in results.curves:
        points = [point for point in curve.points if point.epochs and {X, Y} <= point.scores.keys()]
        found += [points[-1].scores] if points else []
    sides = []
    for metric in (X, Y):
        low = min((scores[metric].low for scores in found), default=0.0)
        high = max((scores[metric].high for scores in found), default=100.0)
        air = max(0.07 * (high - low), (CLOSEST - (high - low)) / 2)
        sides.append((max(low - air, -0.06 * (high - low + air)), min(high + air, 104)))
    return sides[0], sides[1]


def tradeoff_text(results: Results) -> str:
    """Return the caption of the trade-off."""
    curves = results.curves
    sentences = []
    epochs = sorted({point.epochs for curve in curves for point in curve.points if point.epochs})
    if len(paths(curves)) > CROWDED:
        small = f" (small markers: {', '.join(map(epochs_text, epochs[:-1]))})" if epochs[1:] else ""
        sentences.append(
            f"Each line runs from the LRM over more epochs of alignment{small} to the last, which is named."
        )
    elif epochs:
        shares = any(curve.interpolation is not None for curve in curves)
        between = "; with ×, the share of the aligned model’s weights, the rest being the LRM’s" if shares else ""
        sentences.append(f"Numbers at points: epochs of safety alignment{between}.")
    if len(curves) >= FEWEST:
        sentences.append("Pareto front: no other point is safer and as accurate, or as safe and more accurate (means).")
    return " ".join([*sentences, footnote_text(results, [X, Y], len(paths(curves)))])


def _mark_fronts(axes: Axes, results: Results, theme: Theme) -> None:
    """Draw each front as the border of what is beaten: a staircase, and a halo around each of its points."""
    for number, places in enumerate(fronts(results)):
        x, y = [place.harm for place in places], [place.accuracy for place in places]
        label = None if number else "Pareto front"
        # From a point on, nothing safer is as accurate: the step leads right, then up.
        axes.plot(x, y, drawstyle="steps-post", color=theme.front, linewidth=5, zorder=0.5, solid_capstyle="round")
        axes.plot(x, y, "o", color=theme.front, markersize=15, markeredgewidth=0, zorder=0.6)
        axes.plot([], [], color=theme.front, linewidth=5, marker="o", markersize=11, label=label)


def _marked(results: Results, theme: Theme) -> Iterable[tuple[str, str, Scores, dict[str, Any]]]:
    """Yield model, name, scores and style of each LRM and base model; over seeds, where there are several of it."""
    for model in results.models:
        own = [each for each in results.checkpoints if each.model == model and {X, Y} <= each.scores.keys()]
        curves = [curve for curve in results.curves if curve.model == model]
        shared: list[Scores] = [point.scores for point in lrm_points(curves) if {X, Y} <= point.scores.keys()]
        lrms = shared or _each_variant([each for each in own if each.role == "lrm"])
        for scores in lrms:
            yield model, "LRM", scores, lrm_mark(theme)
        for scores in _each_variant([each for each in own if each.role == "base"]):
            yield model, "base", scores, base_mark(theme)


def _bar_segments(scores: Scores) -> list[Segment]:
    x, y = scores[X], scores[Y]
    return [((x.low, y.mean), (x.high, y.mean)), ((x.mean, y.low), (x.mean, y.high))]


def _each_variant(checkpoints: Sequence[Checkpoint]) -> list[Scores]:
    """Return the scores of each variant, over its seeds."""
    alike: dict[str, list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        alike.setdefault(checkpoint.variant, []).append(checkpoint)
    return [
        {
            metric: mean_of_scores([each.scores[metric] for each in group], [each.lrm_seed for each in group])
            for metric in (X, Y)
        }
        for group in alike.values()
    ]
