"""What stands below a plot: what its bars are, how many prompts and seeds, and how far the numbers carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from safetax.formatting import epochs_text, level, unbroken
from safetax.report.plots.published import published_note
from safetax.report.plots.style import CROWDED
from safetax.results.curves import accuracies
from safetax.results.document import Checkpoint, Curve, Results
from safetax.results.metrics import BROKEN, HARMFUL_SCORE, INTERVALS, MANY_BROKEN, THINKING

LAB = "The lab is a small made-up world: it supports directions (which data costs more reasoning), not effect sizes."


def line_labels(curves: Sequence[Curve]) -> list[str]:
    """Return the name of each curve; the model stands in it where there are several."""
    several = len({curve.model for curve in curves}) > 1
    return [f"{curve.model}: {curve.label}" if several else curve.label for curve in curves]


def footnote_text(results: Results, metrics: Iterable[str], lines: int | None = None) -> str:
    """Return the caption: bars, prompts, seeds, truncated responses, errors of judges and, for the lab, its reach.

    ``lines`` is the number of lines of the trade-off, which draws base models and LRMs without curves, too; panels
    over epochs draw what is on the curves alone.
    """
    metrics = list(metrics)
    curves = results.curves
    drawn = _on_curves(results) if lines is None else _in_tradeoff(results, metrics)
    points = [point for curve in curves for point in curve.points]
    every = [{**checkpoint.scores, **accuracies(checkpoint)} for checkpoint in drawn]
    shown = [held[metric] for held in every for metric in metrics if metric in held]
    counts = sorted({score.n for score in shown})
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    sentences = []
    seeds = sorted({seed for point in points if point.epochs for seed in point.seeds})
    confidence = unbroken(level(results.confidence))
    if any(point.bars == "seeds" for point in points):
        alone = "" if all(point.bars == "seeds" for point in points) else ", of one seed over prompts alone"
        thin = "" if (lines or len(curves)) > CROWDED else " Thin lines: single seeds."
        bars = f"Bars: {confidence} interval of the mean over seeds and prompts{alone}."
        sentences.append(f"Points: mean over {pooled(seeds)}. {bars}{thin}")
        sentences.append(f"n = {n} prompts for each seed and score.")
    else:
        kinds = ", ".join(INTERVALS[kind] for kind in sorted({score.interval for score in shown}))
        sentences.append(f"Bars: {confidence} intervals ({kinds}). n = {n} prompts per score.")
        if seeds:
            sentences.append("One seed" + (f" ({seeds[0][0]})." if len(seeds) == 1 else " for each point."))
    return " ".join([*sentences, closing_text(results, metrics, drawn)])


def closing_text(results: Results, metrics: Sequence[str], drawn: Sequence[Checkpoint] | None = None) -> str:
    """Return how a caption ends: truncated responses, errors of judges, what is elsewhere, and the lab's reach.

    ``drawn`` are the checkpoints that the figure draws: where they are not given, those on the curves.
    """
    responses, truncated, errors = _totals(_on_curves(results) if drawn is None else drawn, metrics)
    sentences = [f"Truncated: {truncated:,} of {responses:,} responses; judge errors: {errors:,} (in no score)."]
    sentences += _broken(_on_curves(results) if drawn is None else drawn)
    if results.left_out:
        sentences.append("Runs on fewer samples of the same data are in the figure of sample counts alone.")
    if note := published_note(results, metrics):
        sentences.append(note)
    if any(run.world == "lab" for run in results.runs):
        sentences.append(LAB)
    return " ".join(sentences)


def pooled(seeds: Sequence[Sequence[int]]) -> str:
    """Return in words which seeds, LRM seeds and draws of data a mean is over."""
    own, lrms = sorted({seed[0] for seed in seeds}), sorted({seed[1] for seed in seeds})
    draws = sorted({draw for seed in seeds for draw in seed[2:]})
    text = f"seed{'s' if len(own) > 1 or not draws else ''} {_listed(own)}"
    if lrms != own:
        text += f", LRM seed{'s' if len(lrms) > 1 else ''} {_listed(lrms)}"
    if draws:
        text += f", draw{'s' if len(draws) > 1 else ''} {_listed(draws)}"
    return text


def describe(results: Results, title: str, metrics: Mapping[str, str], marks: bool = False) -> str:
    """Return the plot in words, for readers who cannot see it: first and last point of each line.

    With ``marks`` also the points of the trade-off that are on no line: base models, and LRMs without alignment.
    Where there is no line, they are all that there is to tell.
    """
    parts = [f"{title}."]
    for curve, label in zip(results.curves, line_labels(results.curves), strict=True):
        said = []
        for metric, name in metrics.items():
            means = [point.scores[metric].mean for point in curve.points if metric in point.scores]
            if means:
                said.append(f"{name.lower()} from {means[0]:.1f} % to {means[-1]:.1f} %")
        if said:
            first, last = (epochs_text(curve.points[place].epochs) for place in (0, -1))
            parts.append(f"{label}, epochs {first} to {last}: {', '.join(said)}.")
    if marks or not results.curves:
        parts += _describe_marks(results, metrics)
    return " ".join(parts)


def _describe_marks(results: Results, metrics: Mapping[str, str]) -> list[str]:
    """Return a sentence for each mark of the trade-off that is on no line: its scores, of several seeds their means."""
    lines = [checkpoint.id for checkpoint in _on_curves(results)]
    alike: dict[str, list[Checkpoint]] = {}
    for checkpoint in _in_tradeoff(results, metrics):
        if checkpoint.id not in lines:
            name = {"base": "Base model", "lrm": "LRM"}[checkpoint.role]
            name += f" ({checkpoint.variant})" if checkpoint.variant else ""
            alike.setdefault(f"{checkpoint.model}: {name}" if len(results.models) > 1 else name, []).append(checkpoint)
    return [
        f"{name}: {', '.join(f'{called.lower()} {_mean(group, metric):.1f} %' for metric, called in metrics.items())}."
        for name, group in alike.items()
    ]


def _mean(checkpoints: Sequence[Checkpoint], metric: str) -> float:
    return fmean(checkpoint.scores[metric].value for checkpoint in checkpoints)


def _on_curves(results: Results) -> list[Checkpoint]:
    """Return the checkpoints that are on a curve: aligned models and the LRMs they began as."""
    ids = {name for curve in results.curves for point in curve.points for name in point.checkpoints}
    return [checkpoint for checkpoint in results.checkpoints if checkpoint.id in ids]


def _in_tradeoff(results: Results, metrics: Iterable[str]) -> list[Checkpoint]:
    """Return the checkpoints that the trade-off draws: with both scores, on a curve or with a mark of their own."""
    both = [checkpoint for checkpoint in results.checkpoints if set(metrics) <= checkpoint.scores.keys()]
    lines = [checkpoint.id for checkpoint in _on_curves(results)]
    begun = {each.model for each in both if each.role == "lrm" and each.id in lines}
    return [
        checkpoint
        for checkpoint in both
        if checkpoint.id in lines
        or checkpoint.role == "base"
        or (checkpoint.role == "lrm" and checkpoint.model not in begun)
    ]


def _broken(checkpoints: Iterable[Checkpoint]) -> list[str]:
    """Return how many answers to harmful prompts are broken, where that is known, and what a cross says."""
    shares = [each.scores[BROKEN] for each in checkpoints if BROKEN in each.scores]
    if not shares:
        return []
    text = f"Broken answers to harmful prompts: {fmean(share.value for share in shares):.1f} % on average"
    if any(share.value > MANY_BROKEN for share in shares):
        text += f"; crossed out: points with more than {MANY_BROKEN:g} %, whose low harmful score is damage, not safety"
    return [f"{text}."]


def _totals(checkpoints: Iterable[Checkpoint], metrics: Sequence[str]) -> tuple[int, int, int]:
    """Return responses, truncated ones and errors of the headline judges, over the benchmarks that are shown."""
    responses = truncated = errors = 0
    for checkpoint in checkpoints:
        for name, benchmark in checkpoint.benchmarks.items():
            judged = benchmark.judged
            held = {*judged.scores, *(f"{metric}/{name}" for metric in judged.scores)}
            held |= {THINKING} & set(checkpoint.scores) if HARMFUL_SCORE in held else set()
            if benchmark.headline and held & set(metrics):
                responses += benchmark.responses
                truncated += benchmark.truncated
                errors += judged.errors
    return responses, truncated, errors


def _listed(values: Iterable[int]) -> str:
    return ", ".join(str(value) for value in dict.fromkeys(values))
