"""The table of methods as files: Markdown and LaTeX at each method's last epochs, CSV at all of them.

What refining the data of a method changed is a table for programs alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetax.formatting import epochs_text, level, perplexity_digits, with_spread
from safetax.report.comparisons import Family, of_methods, of_refinement
from safetax.report.table_files import latex, markdown, write_csv
from safetax.results.document import Results
from safetax.results.method_rows import MethodRow, last_rows, method_rows
from safetax.results.metrics import METRICS, OF_METHODS, OF_REFINEMENT, shown
from safetax.results.refinement import refinement_effects

NOTE = (
    "Each method at its last epochs, the least safety tax first. Scores in %, safety tax, gain and lost retention in "
    "points against the LRM, forgetting in nats per 100 tokens of its traces. [..]: {level} interval of one run, or of "
    "one data set; ±: standard deviation over runs; the interval of their mean is in the CSV. Shift: token-weighted "
    "perplexity of the training targets under the frozen LRM, before refinement → as trained on. Fallback: rows whose "
    "refinement failed, in %. Samples: distinct ones (and rows with repeats, where they differ). Pareto: epochs at "
    "which no other point is safer and as accurate, or as safe and more accurate, by means."
)


TEXTS = 2
"""Columns that hold text; the others hold numbers."""
REFINEMENT = "refinement.csv"


def write_method_tables(results: Results, directory: Path) -> list[Path]:
    """Write ``methods.csv``, ``methods.md`` and ``methods.tex`` where there are methods, and return their paths.

    Files of earlier results are removed where there are none.
    """
    rows = method_rows(results)
    paths = [directory / f"methods.{suffix}" for suffix in ("csv", "md", "tex")]
    if not rows:
        for path in paths:
            path.unlink(missing_ok=True)
        return []
    last = last_rows(rows)
    metrics, together = _metrics(last), of_methods(last)
    note = f"{NOTE.format(level=level(results.confidence))} {together.note}".rstrip()
    lines = [_texts(row, metrics, together) for row in last]
    write_csv(paths[0], *_csv(rows))
    for path, form in zip(paths[1:], (markdown, latex), strict=True):
        path.write_text(form(_head(metrics), lines, TEXTS, note), encoding="utf-8", newline="")
    return paths


def write_refinement(results: Results, directory: Path) -> None:
    """Write ``refinement.csv`` where refined data can be compared; else the file of earlier results goes."""
    effects = refinement_effects(results)
    if not effects:
        (directory / REFINEMENT).unlink(missing_ok=True)
        return
    head = ["model", "refined", "plain", "epochs", "pairs"]
    head += [f"{name}{part}" for name in OF_REFINEMENT for part in ("", "_low", "_high", "_p_holm")]
    together = of_refinement(effects)
    rows = []
    for effect in effects:
        numbers: list[float | None] = []
        for metric in OF_REFINEMENT:
            change = effect.changes.get(metric)
            ends = change and change.interval
            told = [change and change.mean, ends and ends.low, ends and ends.high, together.p(change)]
            numbers += [None if value is None else round(value, 6) + 0.0 for value in told]
        rows.append([effect.model, effect.refined, effect.plain, epochs_text(effect.epochs), effect.pairs, *numbers])
    write_csv(directory / REFINEMENT, head, rows)


def shift_texts(row: MethodRow) -> str:
    """Return the shift of a method's data: ``14.20 → 1.71 ± 0.03``."""
    if row.after is None:
        return "–"
    before = "" if row.before is None else f"{row.before.mean:,.{perplexity_digits(row.before.mean)}f} → "
    return before + with_spread(row.after, perplexity_digits(row.after.mean))


def samples_text(row: MethodRow) -> str:
    """Return how many distinct samples there were, and in brackets how many rows where samples are repeated."""
    if not row.distinct:
        return "–"
    repeated = "" if row.examples == row.distinct else f" ({_span(row.examples)})"
    return _span(row.distinct) + repeated


def front_text(row: MethodRow) -> str:
    """Return the epoch counts at which a method is on the Pareto front."""
    return ", ".join(map(epochs_text, row.front)) or "–"


def _span(counts: Sequence[int]) -> str:
    return "–".join(f"{count:,}" for count in dict.fromkeys([counts[0], counts[-1]]))


def _metrics(rows: Sequence[MethodRow]) -> list[str]:
    return shown(OF_METHODS, (row.point.scores for row in rows))


def _head(metrics: Sequence[str]) -> list[str]:
    known = ["Shift", "Fallback", "Samples", "Runs", "Pareto"]
    return ["Model", "Method", "Epochs", *(METRICS[metric].short for metric in metrics), *known]


def _texts(row: MethodRow, metrics: Sequence[str], together: Family) -> list[str]:
    scores = [row.point.scores.get(metric) for metric in metrics]
    cells = [with_spread(score) + together.mark(score) for score in scores]
    known = [shift_texts(row), with_spread(row.fallback), samples_text(row)]
    told = [str(len(row.point.checkpoints)), front_text(row)]
    return [row.curve.model, row.curve.label, epochs_text(row.epochs), *cells, *known, *told]


def _csv(rows: Sequence[MethodRow]) -> tuple[list[str], list[list[Any]]]:
    """Return head and rows, every number in a column of its own; what is not known is None."""
    parts = {"": "mean", "_low": "low", "_high": "high", "_sd": "sd"}
    cells = [*OF_METHODS, "shift_after", "shift_before", "fallback_rate"]
    head = ["model", "method", "variant", "epochs", "runs", "on_front", "examples", "distinct"]
    lines = []
    for row in rows:
        held = [*(row.point.scores.get(metric) for metric in OF_METHODS), row.after, row.before, row.fallback]
        counts = [" ".join(map(str, counts)) for counts in (row.examples, row.distinct)]
        own = [row.curve.model, row.curve.label, row.curve.variant, epochs_text(row.epochs)]
        own += [len(row.point.checkpoints), int(row.on_front), *counts]
        values = [getattr(cell, part, None) for cell in held for part in parts.values()]
        lines.append([*own, *(None if value is None else round(value, 6) for value in values)])
    return [*head, *(f"{name}{part}" for name in cells for part in parts)], lines
