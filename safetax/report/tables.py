"""Tables of checkpoints: CSV for programs, Markdown and LaTeX for papers, and a compact one for the terminal.

A row is a checkpoint or, where several seeds made the same one, all of them: mean and standard deviation, in the CSV
also the interval of the mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetax.formatting import epochs_text, level, share, with_spread
from safetax.report.comparisons import Family, of_rows
from safetax.report.table_files import latex, markdown, write_csv
from safetax.results.alignment_data import perplexity_texts
from safetax.results.document import Results
from safetax.results.metrics import (
    ACCURACY,
    BROKEN,
    DIFFERENCES,
    FORGETTING,
    HARMFUL_SCORE,
    HEADLINE,
    HELP,
    MANY_BROKEN,
    METRICS,
    OPTIONAL,
    OVER_REFUSAL,
    RETENTION_LOSS,
    SAFETY_GAIN,
    SAFETY_TAX,
    shown,
)
from safetax.results.table_rows import CheckpointRow, published_columns, table_rows

if TYPE_CHECKING:
    from rich.table import Table

NOTE = (
    "Scores in %, safety tax, gain and lost retention in points against the LRM, forgetting in nats per 100 tokens of "
    "its traces. [..]: {level} interval of one seed; ±: standard deviation over seeds; the interval of their mean is "
    "in the CSV. n: prompts per score. Broken: answers to harmful "
    "prompts that are garbage, which is no safety. Truncated: responses cut at a budget. Errors: verdicts that are "
    "errors, in no score."
)
COLUMNS = (*HEADLINE, BROKEN)
"""Metrics of a table, in its order."""
NARROW = {
    ACCURACY: "Accu-\nracy",
    SAFETY_TAX: "Safety\ntax",
    RETENTION_LOSS: "Retent.\nlost",
    FORGETTING: "Forget-\nting",
    HARMFUL_SCORE: "Harmful\nscore",
    SAFETY_GAIN: "Safety\ngain",
    OVER_REFUSAL: "Over-\nrefusal",
    HELP: "Help",
}
"""Metrics of the terminal's table, which holds no more, with their heads."""
TEXTS = 3
"""Columns that hold text; the others hold numbers."""


def write_tables(results: Results, directory: Path) -> list[Path]:
    """Write ``table.csv``, ``table.md`` and ``table.tex`` and return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = [write_csv(directory / "table.csv", *csv_table(results))]
    for suffix, text in {"md": markdown_table(results), "tex": latex_table(results)}.items():
        paths.append(directory / f"table.{suffix}")
        paths[-1].write_text(text, encoding="utf-8", newline="")
    return paths


def csv_table(results: Results) -> tuple[list[str], list[list[Any]]]:
    """Return head and rows, every number in a column of its own; what does not apply is None."""
    parts = ("value", "low", "high", "sd", "n")
    published = published_columns(results)
    head = ["model", "role", "dataset", "variant", "epochs", "seeds"]
    head += [metric if part == "value" else f"{metric}_{part}" for metric in COLUMNS for part in parts]
    head += [f"{metric}_p_holm" for metric in DIFFERENCES]
    head += ["responses", "truncated", "errors", *(f"published_{measure}" for measure in published)]
    rows, lines = [], table_rows(results)
    together = of_rows(lines)
    for row in lines:
        numbers: list[Any] = []
        for metric in COLUMNS:
            if cell := row.cells.get(metric):
                sd = None if cell.sd is None else round(cell.sd, 6)
                numbers += [round(cell.mean, 6), cell.low, cell.high, sd, sum(cell.n)]
            else:
                numbers += [None] * len(parts)
        corrected = (together.p(row.cells.get(metric)) for metric in DIFFERENCES)
        numbers += [None if p is None else round(p, 6) for p in corrected]
        first = row.first
        epochs = None if first.epochs is None else epochs_text(first.epochs)
        known = [first.model, first.role, first.dataset, first.variant, epochs, row.seeds]
        figures = [row.published.get(measure) for measure in published]
        rows.append([*known, *numbers, row.responses, row.truncated, row.errors, *figures])
    return head, rows


def markdown_table(results: Results) -> str:
    """Return the table as GitHub's Markdown, with a note on what stands in it."""
    return markdown(_head(results), *_lines(results))


def latex_table(results: Results) -> str:
    """Return the table as a LaTeX tabular that needs the package booktabs."""
    return latex(_head(results), *_lines(results))


def terminal_table(results: Results) -> Table:
    """Return a table for a terminal of 80 columns: below each value its interval or its deviation over seeds.

    Runs that made data alone get a table of that.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = table_rows(results)
    if not rows:
        return _data_table(results)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)
    metrics = shown(NARROW, (row.cells for row in rows))
    if RETENTION_LOSS in metrics and FORGETTING in metrics:
        metrics.remove(FORGETTING)  # the two say the same
    cut, failed = any(row.truncated for row in rows), any(row.errors for row in rows)
    table.add_column("Data", overflow="fold", min_width=14, vertical="top")
    counted = [*["Trun-\ncated"] * cut, *["Er-\nrors"] * failed, "n"]
    for head in ["Ep-\nochs", *(NARROW[metric] for metric in metrics), *counted]:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        cells = []
        for metric in metrics:
            cell = row.cells.get(metric)
            if cell is None:
                cells.append(Text("–", style="dim"))
                continue
            dash = "–" if cell.low >= 0 else ".."
            below = f"{cell.low:.0f}{dash}{cell.high:.0f}" if cell.sd is None else f"±{cell.sd:.1f}"
            cells.append(
                Text.assemble(f"{cell.mean:.1f}", "" if cell.exact else "\n", ("" if cell.exact else below, "dim"))
            )
        prompts = sorted({n for metric, cell in row.cells.items() if metric not in OPTIONAL for n in cell.n})
        n = "" if not prompts else f"{prompts[0]}" if len(prompts) == 1 else f"≥{prompts[0]}"
        seeds = f"\n×{row.seeds}" if row.seeds > 1 else ""
        name = Text(f"{row.first.model}: {row.name}" if len(results.models) > 1 else row.name)
        if broken := row.cells.get(BROKEN):
            name.append(f"\n{broken.mean:.1f}% broken", "bold yellow" if broken.mean > MANY_BROKEN else "dim")
        counts = [*[share(row.truncated, row.responses, 1)] * cut, *[str(row.errors)] * failed, n + seeds]
        table.add_row(name, epochs_text(row.first.epochs), *cells, *counts)
    return table


def _data_table(results: Results) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("Data", overflow="fold")
    table.add_column("Rows", justify="right")
    measured = any(entry.shift for entry in results.data)
    if measured:
        table.add_column("Perplexity under the LRM", overflow="fold")
    table.add_column("Step", no_wrap=True)
    for entry in results.data:
        perplexities = [Text("\n".join(perplexity_texts(entry)) or "–")] if measured else []
        rows = str(entry.summary.get("examples", "–"))
        table.add_row(Text(entry.title), rows, *perplexities, Text(entry.step))
    return table


def _head(results: Results) -> list[str]:
    published = [f"Published: {name}" for name in published_columns(results).values()]
    metrics = [METRICS[metric].short for metric in _columns(results)]
    return ["Model", "Data", "Epochs", *metrics, "Truncated", "Errors", "n", *published]


def _columns(results: Results) -> list[str]:
    return shown(COLUMNS, (checkpoint.scores for checkpoint in results.checkpoints))


def _lines(results: Results) -> tuple[list[list[str]], int, str]:
    """Return the lines of a table, how many columns of it are text, and its note."""
    rows = table_rows(results)
    together = of_rows(rows)
    return [_texts(row, results, together) for row in rows], TEXTS, f"{_note(results)} {together.note}".rstrip()


def _texts(row: CheckpointRow, results: Results, together: Family) -> list[str]:
    scores = [row.cells.get(metric) for metric in _columns(results)]
    return [
        row.first.model,
        row.name,
        epochs_text(row.first.epochs),
        *(with_spread(score) + together.mark(score) for score in scores),
        share(row.truncated, row.responses, 2),
        str(row.errors),
        row.prompts,
        *(f"{row.published[key]:g}" if key in row.published else "–" for key in published_columns(results)),
    ]


def _note(results: Results) -> str:
    note = NOTE.format(level=level(results.confidence))
    if published_columns(results):
        sources = ", ".join(f"{listed.title} ({listed.source})" for listed in results.published)
        note += f" Published: {sources}, as reported, without intervals."
    return note
