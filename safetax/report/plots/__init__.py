"""Plots of a results document: the two-panel epoch figure, the trade-off, and refusal of benign requests.

Where they were measured, also accuracy by benchmark, harm in the thinking beside harm in the answer, the tax against
the distribution shift, and scores against the number of samples.

matplotlib is imported when something is drawn, and always without pyplot: no window, no state between figures.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from multiprocessing import Process
from pathlib import Path
from typing import Any

from safetax.report.plots.captions import describe, footnote_text, line_labels
from safetax.report.plots.epochs import draw_panels
from safetax.report.plots.paths import paths
from safetax.report.plots.samples import describe_samples, draw_samples, samples_text
from safetax.report.plots.shift import describe_shift, draw_shift, shift_text
from safetax.report.plots.style import CROWDED, Draw, file_names, save
from safetax.report.plots.tradeoff import describe_tradeoff, draw_tradeoff, tradeoff_text
from safetax.results.codec import to_json
from safetax.results.document import Curve, Results
from safetax.results.metrics import ACCURACY, HARMFUL_SCORE, HELP, METRICS, OVER_REFUSAL, THINKING
from safetax.results.sample_counts import find_series, without_fewer
from safetax.results.shifts import find_shifts
from safetax.store.manifest import sha256_of

OUTCOME = {name: METRICS[name].axis for name in (HARMFUL_SCORE, ACCURACY)}
BENIGN = {name: METRICS[name].axis for name in (OVER_REFUSAL, HELP)}
WHERE = {HARMFUL_SCORE: "Harmful Score of the Answer", THINKING: METRICS[THINKING].axis}
NAMES = ("epochs", "tradeoff", "refusal", "benchmarks", "thinking", "shift", "samples")


def draw_plots(results: Results, directory: Path) -> list[dict[str, Any]]:
    """Write the plots that the results allow and return name, title, caption, alternative text and files of each.

    The same list stands in ``figures.json`` beside them. Plots that are there already and whole, of the same results
    and by the same code, are not drawn again.
    """
    directory.mkdir(parents=True, exist_ok=True)
    record = directory / "figures.json"
    drawn_from = _digest(results)
    done = _done(record, drawn_from)
    if done is not None:
        return done
    for name in NAMES:
        for file in [*directory.glob(f"{name}.*"), directory / f"{name}-dark.svg"]:
            file.unlink(missing_ok=True)
    wanted = wanted_plots(results)
    written = _save_all({name: draw for name, *_, draw in wanted}, directory)
    figures = [
        {"name": name, "title": title, "caption": caption, "alt": alt, "files": written[name]}
        for name, title, caption, alt, _ in wanted
    ]
    held = {"digest": _seal(drawn_from, figures, directory), "figures": figures}
    record.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    return figures


def _save_all(drawings: Mapping[str, Draw], directory: Path) -> dict[str, list[str]]:
    """Draw the figures of these names side by side, a process for each, and return the files of each.

    What a process did not finish is drawn again here, so that its error is told like any other.
    """
    others = {
        name: Process(target=_save_quietly, args=(draw, directory, name), daemon=True)
        for name, draw in list(drawings.items())[1:]
    }
    for process in others.values():
        process.start()
    files = {name: save(draw, directory, name) for name, draw in drawings.items() if name not in others}
    for name, process in others.items():
        process.join()
        files[name] = save(drawings[name], directory, name) if process.exitcode else file_names(name)
    return files


def _save_quietly(draw: Draw, directory: Path, name: str) -> None:
    """Draw a figure in a process of its own, which ends without a word if it cannot."""
    try:
        save(draw, directory, name)
    except BaseException:
        os._exit(1)


Wanted = tuple[str, str, str, str, Draw]
"""Name, title, caption, alternative text and drawing of a plot."""


def wanted_plots(every: Results) -> list[Wanted]:
    """Return the plots that the results hold scores for; runs on fewer samples are in the plot of those alone."""
    wanted: list[Wanted] = []
    results = without_fewer(every)

    def panels(name: str, title: str, metrics: Mapping[str, str], same_scale: bool = False) -> None:
        caption, alt = footnote_text(results, list(metrics)), describe(results, title, metrics)
        wanted.append((name, title, caption, alt, partial(draw_panels, results, metrics, same_scale=same_scale)))

    outcome, benign = (_measured(results, metrics) for metrics in (OUTCOME, BENIGN))
    if outcome:
        panels("epochs", "Harmful score and reasoning accuracy over safety alignment epochs", outcome)
    if any(OUTCOME.keys() <= checkpoint.scores.keys() for checkpoint in results.checkpoints):
        title = "Trade-off between safety and reasoning"
        alt = describe_tradeoff(results, title, OUTCOME)
        wanted.append(("tradeoff", title, tradeoff_text(results), alt, partial(draw_tradeoff, results)))
    if benign:
        panels("refusal", "Over-refusal and correct help over safety alignment epochs", benign)
    parts = sorted({key for curve in results.curves for p in curve.points for key in p.scores if "/" in key})
    if parts:
        names = {key: f"Accuracy, {key.partition('/')[2]}" for key in parts}
        panels("benchmarks", "Reasoning accuracy by benchmark over safety alignment epochs", names)
    where = _measured(results, WHERE)
    if THINKING in where:
        panels("thinking", "Harm in the answer and, judged apart, in the thinking", where, same_scale=True)
    shifts = find_shifts(results)
    if shifts.points:
        title = "Safety tax against the distribution shift of the alignment data"
        alt = describe_shift(shifts, title, line_labels(results.curves))
        wanted.append(("shift", title, shift_text(results, shifts), alt, partial(draw_shift, results, shifts)))
    series = find_series(every)
    if series and (shown := _measured(every, OUTCOME)):
        title = "Harmful score and reasoning accuracy over the number of samples"
        alt = describe_samples(series, title, shown)
        drawing = partial(draw_samples, every, series, shown)
        wanted.append(("samples", title, samples_text(every, series, shown), alt, drawing))
    return wanted


def crowded_figures(curves: Sequence[Curve]) -> list[str]:
    """Return the names of the figures that are wider since they name many curves beside or in them."""
    panels = ["epochs", "refusal", "benchmarks", "thinking"] if len(curves) > CROWDED else []
    return [*panels, *(["tradeoff"] if len(paths(curves)) > CROWDED else [])]


def _measured(results: Results, metrics: Mapping[str, str]) -> dict[str, str]:
    found = {key for curve in results.curves for point in curve.points for key in point.scores}
    return {metric: name for metric, name in metrics.items() if metric in found}


def _done(record: Path, drawn_from: str) -> list[dict[str, Any]] | None:
    """Return the figures of a record if all that it says, and its files, are as they were written."""
    try:
        before = json.loads(record.read_text(encoding="utf-8"))
        whole = before["digest"] == _seal(drawn_from, before["figures"], record.parent)
        return before["figures"] if whole else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _seal(drawn_from: str, figures: Sequence[Mapping[str, Any]], directory: Path) -> str:
    """Return a hash of what figures were drawn from, what is said of them, and the contents of their files."""
    files = [sha256_of(directory / file) for figure in figures for file in figure["files"]]
    return hashlib.sha256(json.dumps([drawn_from, figures, files], sort_keys=True).encode()).hexdigest()


def _digest(results: Results) -> str:
    """Return a hash of what a plot depends on: the results and the code that draws."""
    content = hashlib.sha256(json.dumps(to_json(results), sort_keys=True).encode())
    for module in sorted(Path(__file__).parent.glob("*.py")):
        content.update(module.read_bytes())
    return content.hexdigest()
