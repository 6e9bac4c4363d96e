"""What stands below a plot: what its bars are, how many prompts and seeds, and how far the numbers carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from safetax.report.plots.published import published_note
from safetax.report.plots.style import CROWDED
from safetax.results.curves import accuracies
from safetax.results.scores import THINKING

LAB = "The lab is a small made-up world: it supports directions (which data costs more reasoning), not effect sizes."


def epochs_text(epochs: float) -> str:
    """Return an epoch count as short as it is exact: 2, 0.5."""
    return f"{epochs:g}"


def line_labels(curves: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the name of each curve; the model stands in it where there are several."""
    several = len({curve["model"] for curve in curves}) > 1
    return [f"{curve['model']}: {curve['label']}" if several else curve["label"] for curve in curves]


def footnote_text(results: Mapping[str, Any], metrics: Iterable[str], lines: int | None = None) -> str:
    """Return the caption: bars, prompts, seeds, truncated responses, errors of judges and, for the lab, its reach.

    ``lines`` is the number of lines of the trade-off, which draws base models and LRMs without curves, too; panels
    over epochs draw what is on the curves alone.
    """
    metrics = list(metrics)
    curves = results["curves"]
    drawn = _on_curves(results) if lines is None else _in_tradeoff(results, metrics)
    points = [point for curve in curves for point in curve["points"]]
    every = [checkpoint["scores"] | accuracies(checkpoint) for checkpoint in drawn]
    shown = [held[metric] for held in every for metric in metrics if metric in held]
    counts = sorted({score["n"] for score in shown})
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    sentences = []
    seeds = sorted({tuple(seed) for point in points if point["epochs"] for seed in point["seeds"]})
    level = f"{100 * results['confidence']:g}\u00a0%"
    if any(point["bars"] == "seeds" for point in points):
        alone = "" if all(point["bars"] == "seeds" for point in points) else f" ({level} interval where there is one)"
        thin = "" if (lines or len(curves)) > CROWDED else " Thin lines: single seeds."
        sentences.append(f"Points: mean over {pooled(seeds)}. Bars: smallest to largest seed{alone}.{thin}")
        sentences.append(f"n = {n} prompts for each seed and score.")
    else:
        kinds = sorted({score["interval"] for score in shown if metrics})
        how = {
            "wilson": "Wilson",
            "bootstrap": "bootstrap over prompts",
            "clustered": "bootstrap over distinct prompts",
        }
        sentences.append(
            f"Bars: {level} intervals ({', '.join(how[kind] for kind in kinds)}). n = {n} prompts per score."
        )
        if seeds:
            sentences.append("One seed" + (f" ({seeds[0][0]})." if len(seeds) == 1 else " for each point."))
    return " ".join([*sentences, closing_text(results, metrics, drawn)])


def closing_text(
    results: Mapping[str, Any], metrics: Sequence[str], drawn: Sequence[Mapping[str, Any]] | None = None
) -> str:
    """Return how a caption ends: truncated responses, errors of judges, what is elsewhere, and the lab's reach.

    ``drawn`` are the checkpoints that the figure draws: where they are not given, those on the curves.
    """
    responses, truncated, errors = _totals(_on_curves(results) if drawn is None else drawn, metrics)
    sentences = [f"Truncated: {truncated:,} of {responses:,} responses; judge errors: {errors:,} (in no score)."]
    if results.get("left_out"):
        sentences.append("Runs on fewer samples of the same data are in the figure of sample counts alone.")
    if note := published_note(results, metrics):
        sentences.append(note)
    if any(run.get("world") == "lab" for run in results["runs"]):
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


def describe(results: Mapping[str, Any], title: str, metrics: Mapping[str, str], marks: bool = False) -> str:
    """Return the plot in words, for readers who cannot see it: first and last point of each line.

    With ``marks`` also the points of the trade-off that are on no line: base models, and LRMs without alignment.
    Where there is no line, they are all that there is to tell.
    """
    parts = [f"{title}."]
    for curve, label in zip(results["curves"], line_labels(results["curves"]), strict=True):
        said = []
        for metric, name in metrics.items():
            points = [point for point in curve["points"] if metric in point["scores"]]
            if points:
                first, last = (f"{point['scores'][metric]['mean']:.1f} %" for point in (points[0], points[-1]))
                said.append(f"{name.lower()} from {first} to {last}")
        if said:
            last = epochs_text(curve["points"][-1]["epochs"])
            parts.append(f"{label}, epochs {epochs_text(curve['points'][0]['epochs'])} to {last}: {', '.join(said)}.")
    if marks or not results["curves"]:
        parts += _describe_marks(results, metrics)
    return " ".join(parts)


def _describe_marks(results: Mapping[str, Any], metrics: Mapping[str, str]) -> list[str]:
    """Return a sentence for each mark of the trade-off that is on no line: its scores, of several seeds their means."""
    lines = [checkpoint["id"] for checkpoint in _on_curves(results)]
    several = len({checkpoint["model"] for checkpoint in results["checkpoints"]}) > 1
    alike: dict[str, list[Mapping[str, Any]]] = {}
    for checkpoint in _in_tradeoff(results, metrics):
        if checkpoint["id"] not in lines:
            name = {"base": "Base model", "lrm": "LRM"}[checkpoint["role"]]
            name += f" ({checkpoint['variant']})" if checkpoint["variant"] else ""
            alike.setdefault(f"{checkpoint['model']}: {name}" if several else name, []).append(checkpoint)
    return [
        f"{name}: {', '.join(f'{called.lower()} {_mean(group, metric):.1f} %' for metric, called in metrics.items())}."
        for name, group in alike.items()
    ]


def _mean(checkpoints: Sequence[Mapping[str, Any]], metric: str) -> float:
    return fmean(checkpoint["scores"][metric]["value"] for checkpoint in checkpoints)


def _on_curves(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the checkpoints that are on a curve: aligned models and the LRMs they began as."""
    ids = {name for curve in results["curves"] for point in curve["points"] for name in point["checkpoints"]}
    return [checkpoint for checkpoint in results["checkpoints"] if checkpoint["id"] in ids]


def _in_tradeoff(results: Mapping[str, Any], metrics: Iterable[str]) -> list[dict[str, Any]]:
    """Return the checkpoints that the trade-off draws: with both scores, on a curve or with a mark of their own."""
    both = [checkpoint for checkpoint in results["checkpoints"] if set(metrics) <= checkpoint["scores"].keys()]
    lines = [checkpoint["id"] for checkpoint in _on_curves(results)]
    begun = {c["model"] for c in both if c["role"] == "lrm" and c["id"] in lines}
    return [
        checkpoint
        for checkpoint in both
        if checkpoint["id"] in lines
        or checkpoint["role"] == "base"
        or (checkpoint["role"] == "lrm" and checkpoint["model"] not in begun)
    ]


def _totals(checkpoints: Iterable[Mapping[str, Any]], metrics: Sequence[str]) -> tuple[int, int, int]:
    """Return responses, truncated ones and errors of the headline judges, over the benchmarks that are shown."""
    responses = truncated = errors = 0
    for checkpoint in checkpoints:
        for name, benchmark in checkpoint["benchmarks"].items():
            judged = benchmark["judges"][benchmark["judge"]]
            held = {*judged["scores"], *(f"{metric}/{name}" for metric in judged["scores"])}
            held |= {THINKING} & set(checkpoint["scores"]) if "harmful_score" in held else set()
            if benchmark["headline"] and held & set(metrics):
                responses += benchmark["responses"]
                truncated += benchmark["truncated"]
                errors += judged["errors"]
    return responses, truncated, errors


def _listed(values: Iterable[int]) -> str:
    return ", ".join(str(value) for value in dict.fromkeys(values))
