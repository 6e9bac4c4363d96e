"""The table of methods as files: Markdown and LaTeX at each method's last epochs, CSV at all of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetax.report.tables import NAMES, cell_text, latex, markdown
from safetax.results.alignment_data import perplexity_digits
from safetax.results.method_rows import METRICS, MethodRow, last_rows, method_rows
from safetax.results.table_rows import Cell

NOTE = (
    "Each method at its last epochs, the least safety tax first. Scores in %, safety tax and gain in points against "
    "the LRM. [..]: {level} interval of one run, or of one data set; ±: standard deviation over runs. Shift: "
    "token-weighted perplexity of the training targets under the frozen LRM, before refinement → as trained on. "
    "Fallback: rows whose refinement failed, in %. Samples: distinct ones (and rows with repeats, where they differ). "
    "Pareto: epochs at which no other point is safer and as accurate, or as safe and more accurate, by means."
)


def write_method_tables(results: Mapping[str, Any], directory: Path) -> list[Path]:
    """Write ``methods.csv``, ``methods.md`` and ``methods.tex`` where there are methods, and return their paths.

    Files of earlier results are removed where there are none.
    """
    rows = method_rows(results)
    paths = [directory / f"methods.{suffix}" for suffix in ("csv", "md", "tex")]
    if not rows:
        for path in paths:
            path.unlink(missing_ok=True)
        return []
    note = NOTE.format(level=f"{100 * results['confidence']:g} %")
    lines = [_texts(row) for row in last_rows(rows)]
    texts = [_csv(rows), markdown(_head(), lines, 2, note), latex(_head(), lines, 2, note)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8", newline="")
    return paths


def shift_texts(row: MethodRow) -> str:
    """Return the shift of a method's data: ``14.20 → 1.71 ± 0.03``."""
    if row.after is None:
        return "–"
    before = "" if row.before is None else f"{row.before.value:,.{perplexity_digits(row.before.value)}f} → "
    return before + cell_text(row.after, perplexity_digits(row.after.value))


def samples_text(row: MethodRow) -> str:
    """Return how many distinct samples there were, and in brackets how many rows where samples are repeated."""
    if not row.distinct:
        return "–"
    repeated = "" if row.examples == row.distinct else f" ({_span(row.examples)})"
    return _span(row.distinct) + repeated


def front_text(row: MethodRow) -> str:
    """Return the epoch counts at which a method is on the Pareto front."""
    return ", ".join(f"{epochs:g}" for epochs in row.front) or "–"


def _span(counts: Sequence[int]) -> str:
    return "–".join(f"{count:,}" for count in dict.fromkeys([counts[0], counts[-1]]))


def _head() -> list[str]:
    known = ["Shift", "Fallback", "Samples", "Runs", "Pareto"]
    return ["Model", "Method", "Epochs", *(NAMES[metric] for metric in METRICS), *known]


def _texts(row: MethodRow) -> list[str]:
    cells = [cell_text(row.cells.get(metric)) for metric in METRICS]
    known = [shift_texts(row), cell_text(row.fallback), samples_text(row), str(row.runs), front_text(row)]
    return [row.model, row.label, f"{row.epochs:g}", *cells, *known]


def _csv(rows: Sequence[MethodRow]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    parts = ("value", "low", "high", "sd")
    cells = [*METRICS, "shift_after", "shift_before", "fallback_rate"]
    known = ["model", "method", "variant", "epochs", "runs", "on_front", "examples", "distinct"]
    writer.writerow([*known, *(name if part == "value" else f"{name}_{part}" for name in cells for part in parts)])
    for row in rows:
        held: list[Cell | None] = [*(row.cells.get(metric) for metric in METRICS), row.after, row.before, row.fallback]
        counts = [" ".join(map(str, counts)) for counts in (row.examples, row.distinct)]
        own = [row.model, row.label, row.variant, f"{row.epochs:g}", row.runs, int(row.on_front), *counts]
        numbers = [
            "" if cell is None or getattr(cell, part) is None else round(getattr(cell, part), 6)
            for cell in held
            for part in parts
        ]
        writer.writerow([*own, *numbers])
    return file.getvalue()
