"""Published figures in plots: hollow markers without bars, in the colour of the data set's line where there is one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safetax.report.plots.style import Theme
from safetax.results.document import Curve, Results
from safetax.results.metrics import METRICS, THINKING
from safetax.results.published_figures import PublishedSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Point:
    """One published checkpoint: its figures by the keys of a plot, and which of our lines (if any) it belongs to."""

    role: str
    dataset: str | None
    epochs: float
    values: Mapping[str, float]
    curve: int | None


def published_points(results: Results, keys: Sequence[str]) -> list[Point]:
    """Return what was published of the plot's ``keys``: only where it is the same quantity, and each figure once.

    What stands in a table goes before what was read off a figure.
    """
    points = []
    for listed in _shown(results, keys):
        values: dict[tuple[str, str | None, float], dict[str, float]] = {}
        lines: dict[tuple[str, str | None, float], set[tuple[str, str | None, str]]] = {}
        for row in sorted(listed.rows, key=lambda row: row.origin != "table"):
            place = (row.role, row.dataset, row.epochs or 0.0)
            lines.setdefault(place, set()).update((ours.model, ours.dataset, ours.variant) for ours in row.ours)
            for measure, value in row.values.items():
                for key in set(listed.measures[measure].keys) & set(keys):
                    values.setdefault(place, {}).setdefault(key, value)
        for place, compared in lines.items():
            if place in values:
                curve = _curve(results.curves, listed.models, place[1], compared)
                points.append(Point(*place, values[place], curve))
    return points


def _shown(results: Results, keys: Iterable[str]) -> Sequence[PublishedSet]:
    """Return the published sets for a plot; the one that compares thinking with answers shows ours alone."""
    return [] if THINKING in keys else results.published


def _curve(
    curves: Sequence[Curve], models: Iterable[str], dataset: str | None, compared_with: Iterable[Any]
) -> int | None:
    same = [n for n, curve in enumerate(curves) if curve.dataset == dataset and curve.model in models]
    lines = [(curve.model, curve.dataset, curve.variant) for curve in curves]
    compared = [number for number, line in enumerate(lines) if line in compared_with]
    return next(iter([*compared, *same]), None)


def mark_published(axes: Axes, x: float, y: float, point: Point, theme: Theme) -> None:
    """Draw a published point, larger than ours, so that it shows around one that it agrees with."""
    if point.role == "aligned":
        style = {"color": theme.base, "marker": "o"} if point.curve is None else theme.line(point.curve)
    else:
        is_lrm = point.role == "lrm"
        style = {"marker": "*" if is_lrm else "h", "color": theme.ink if is_lrm else theme.base}
    axes.plot(
        [x],
        [y],
        marker=style["marker"],
        markersize={"lrm": 17, "base": 12}.get(point.role, 10),
        markerfacecolor="none",
        markeredgecolor=style["color"],
        markeredgewidth=1.2,
        linestyle="none",
        zorder=5,
        clip_on=False,
    )


def published_key(axes: Axes, results: Results, theme: Theme) -> None:
    """Give the legend its entry for the hollow markers."""
    sources = ", ".join(dict.fromkeys(listed.source for listed in results.published))
    axes.plot(
        [],
        [],
        marker="o",
        markersize=9,
        markerfacecolor="none",
        markeredgecolor=theme.ink,
        markeredgewidth=1.2,
        linestyle="none",
        label=f"published ({sources})",
    )


def published_note(results: Results, metrics: Iterable[str]) -> str:
    """Return the sentences of a caption: what the hollow markers are, and what was published but is not drawn here."""
    metrics = list(metrics)
    sentences = []
    for listed in _shown(results, metrics):
        measures = listed.measures.values()
        if any(set(measure.keys) & set(metrics) for measure in measures):
            sentences.append(f"Hollow: published figures of {listed.title} ({listed.source}), without intervals.")
        sentences += [
            f"Its {METRICS[measure.metric].short.lower()} over {', '.join(measure.benchmarks)} is "
            "another quantity than this plot’s and is not drawn."
            for measure in measures
            if measure.metric in metrics and measure.metric not in measure.keys and len(measure.benchmarks) > 1
        ]
    return " ".join(sentences)
