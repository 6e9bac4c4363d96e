"""Scores against the number of distinct samples: one line for each method, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from safetax.formatting import epochs_in_words, level
from safetax.report.plots.captions import closing_text, pooled
from safetax.report.plots.marks import bars, legend, limits, line, lrm_points, reach
from safetax.report.plots.style import Theme, footnote
from safetax.results.document import Results
from safetax.results.sample_counts import Series, without_fewer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_samples(results: Results, series: Sequence[Series], metrics: Mapping[str, str], theme: Theme) -> Figure:
    """Draw one panel for each metric; the LRM, which saw no sample, is a level across it."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    figure = Figure(figsize=(4.1 * max(len(metrics), 1.4), 4.1), layout="constrained")
    panels = list(figure.subplots(1, len(metrics), squeeze=False).flat)
    several = len({each.model for each in series}) > 1
    # A method has the colour here that its curve has in the other plots.
    main = without_fewer(results).curves
    places = [next(number for number, curve in enumerate(main) if curve in each.curves) for each in series]
    for axes, (metric, name) in zip(panels, metrics.items(), strict=True):
        axes.set_xscale("log")
        for index, each in zip(places, series, strict=True):
            style = theme.line(index)
            held = [(n, point) for n, point in zip(each.counts, each.points, strict=True) if metric in point.scores]
            x = [count for count, _ in held]
            scores = [point.scores[metric] for _, point in held]
            for count, score in zip(x, scores, strict=True):
                if len(score.values) > 1:
                    dots = {"marker": ".", "linestyle": "none", "markersize": 4.5, "alpha": 0.5, "zorder": 3}
                    axes.plot([count] * len(score.values), score.values, color=style["color"], **dots)
            means = [score.mean for score in scores]
            bars(axes, x, means, style["color"], yerr=reach(scores))
            label = f"{each.model}: {each.name}" if several else each.name
            axes.plot(x, means, **line(style, theme), label=label)
        for point in lrm_points([curve for each in series for curve in each.curves]):
            if metric in point.scores:
                dotted = {"color": theme.ink, "linewidth": 0.9, "linestyle": (0, (1, 2)), "zorder": 1}
                axes.axhline(point.scores[metric].mean, label="LRM, before alignment", **dotted)
        counts = sorted({count for each in series for count in each.counts})
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(counts, [f"{count:,}" if count in _roomy(counts) else "" for count in counts])
        axes.set(xlabel="Distinct Samples (log scale)", ylabel=f"{name} (%)")
        axes.set_ylim(*limits(axes))
    legend(figure, panels)
    footnote(figure, samples_text(results, series, metrics), theme)
    return figure


def samples_text(results: Results, series: Sequence[Series], metrics: Mapping[str, str]) -> str:
    """Return the caption: epochs or steps, what a point is the mean of, and what the bars are."""
    sentences = []
    for steps, epochs in sorted({(each.steps, each.epochs) for each in series}):
        how = "few samples are repeated, up to as many rows" if steps else "fewer samples take fewer steps"
        sentences.append(f"Equal {'steps' if steps else 'epochs'}: {epochs_in_words(epochs)}; {how}.")
    points = [point for each in series for point in each.points]
    if any(len(point.checkpoints) > 1 for point in points):
        over = pooled([seed for point in points for seed in point.seeds])
        sentences.append(
            f"Points: mean over {over}. Dots: single runs. Bars: {level(results.confidence)} interval of the mean."
        )
    else:
        sentences.append(f"Bars: {level(results.confidence)} intervals of one run each.")
    own = {identity for point in points for identity in point.checkpoints}
    n = sorted({n for p in points for metric in metrics if metric in p.scores for n in p.scores[metric].n})
    sentences.append(f"n = {' to '.join(str(n) for n in dict.fromkeys([n[0], n[-1]]))} prompts for each run and score.")
    shown = replace(results, checkpoints=tuple(each for each in results.checkpoints if each.id in own))
    return " ".join([*sentences, closing_text(shown, list(metrics))])


def describe_samples(series: Sequence[Series], title: str, metrics: Mapping[str, str]) -> str:
    """Return the plot in words: each metric at each count."""
    parts = [f"{title}."]
    for each in series:
        for metric, name in metrics.items():
            said = [
                f"{point.scores[metric].mean:.1f} % at {count:,}"
                for count, point in zip(each.counts, each.points, strict=True)
                if metric in point.scores
            ]
            parts.append(f"{each.name}, {name.lower()}: {', '.join(said)}.")
    return " ".join(parts)


def _roomy(counts: Sequence[int]) -> set[int]:
    """Return the counts whose numbers have room on the axis: none nearer than a twelfth of it to another."""
    found: list[int] = []
    for count in counts:
        if not found or (count / found[-1]) ** 12 >= counts[-1] / counts[0]:
            found.append(count)
    return set(found)
