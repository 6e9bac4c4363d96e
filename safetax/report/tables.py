"""Tables of a results document: CSV for programs, Markdown and LaTeX for papers, and a compact one for the terminal.

A row is a checkpoint or, where several seeds made the same one, all of them: mean and standard deviation.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetax.results.alignment_data import perplexity_texts
from safetax.results.scores import METRICS
from safetax.results.table_rows import Cell, Row, published_columns, table_rows

if TYPE_CHECKING:
    from rich.table import Table

NAMES = {
    "accuracy": "Accuracy",
    "safety_tax": "Safety tax",
    "harmful_score": "Harmful score",
    "safety_gain": "Safety gain",
    "refusal": "Refusal",
    "over_refusal": "Over-refusal",
    "help": "Help",
}
NOTE = (
    "Scores in %, safety tax and gain in points against the LRM. [..]: {level} interval of one seed; ±: standard "
    "deviation over seeds. n: prompts per score. Truncated: responses cut at a budget. Errors: verdicts that are "
    "errors, in no score."
)


def write_tables(results: Mapping[str, Any], directory: Path) -> list[Path]:
    """Write ``table.csv``, ``table.md`` and ``table.tex`` and return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    texts = {"csv": csv_table(results), "md": markdown_table(results), "tex": latex_table(results)}
    for suffix, text in texts.items():
        (directory / f"table.{suffix}").write_text(text, encoding="utf-8", newline="")
    return [directory / f"table.{suffix}" for suffix in texts]


def csv_table(results: Mapping[str, Any]) -> str:
    """Return the table as CSV, every number in a column of its own; what does not apply is empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    parts = ("value", "low", "high", "sd", "n")
    published = published_columns(results)
    writer.writerow(
        ["model", "role", "dataset", "variant", "epochs", "seeds"]
        + [metric if part == "value" else f"{metric}_{part}" for metric in METRICS for part in parts]
        + ["responses", "truncated", "errors", *(f"published_{measure}" for measure in published)]
    )
    for row in table_rows(results):
        numbers: list[Any] = []
        for metric in METRICS:
            cell = row.cells.get(metric)
            if cell is None:
                numbers += [""] * len(parts)
            else:
                numbers += [cell.value, cell.low, cell.high, "" if cell.sd is None else cell.sd, sum(cell.n)]
        epochs = "" if row.epochs is None else f"{row.epochs:g}"
        known = [row.model, row.role, row.dataset or "", row.variant, epochs, row.seeds]
        figures = [row.published.get(measure, "") for measure in published]
        writer.writerow([*known, *numbers, row.responses, row.truncated, row.errors, *figures])
    return file.getvalue()


def markdown_table(results: Mapping[str, Any]) -> str:
    """Return the table as GitHub's Markdown, with a note on what stands in it."""
    return markdown(_head(results), [_texts(row, results) for row in table_rows(results)], 3, _note(results))


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int, note: str) -> str:
    """Return a table as GitHub's Markdown; the first ``texts`` columns hold text, the others numbers."""
    lines = [head, ["---"] * texts + ["---:"] * (len(head) - texts)]
    lines += [[text.replace("|", "\\|") for text in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{note}\n"


def latex_table(results: Mapping[str, Any]) -> str:
    """Return the table as a LaTeX tabular that needs the package booktabs."""
    return latex(_head(results), [_texts(row, results) for row in table_rows(results)], 3, _note(results))


def latex(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int, note: str) -> str:
    """Return a table as a LaTeX tabular; the first ``texts`` columns hold text, the first of them the model."""
    lines = [
        "% Needs \\usepackage{booktabs}.",
        *(f"% {sentence}" for sentence in note.split(". ")),
        f"\\begin{{tabular}}{{{'l' * texts}{'r' * (len(head) - texts)}}}",
        "\\toprule",
        " & ".join(_latex(text) for text in head) + " \\\\",
        "\\midrule",
    ]
    model = None
    for row in rows:
        if model not in (None, row[0]):
            lines.append("\\midrule")
        model = row[0]
        lines.append(" & ".join(_latex(text) for text in row) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def terminal_table(results: Mapping[str, Any]) -> Table:
    """Return a table for a terminal of 80 columns: below each value its interval or its deviation over seeds.

    Runs that made data alone get a table of that.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = table_rows(results)
    if not rows:
        return _data_table(results)
    several = len({row.model for row in rows}) > 1
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)
    table.add_column("Data", overflow="fold", min_width=14, vertical="top")
    heads = ["Ep-\nochs", "Accu-\nracy", "Safety\ntax", "Harmful\nscore", "Safety\ngain", "Over-\nrefusal", "Help"]
    for head in [*heads, "Trun-\ncated", "Er-\nrors", "n"]:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        cells = []
        for metric in METRICS:
            if metric == "refusal":
                continue  # 80 columns hold no more
            cell = row.cells.get(metric)
            if cell is None:
                cells.append(Text("–", style="dim"))
                continue
            dash = "–" if cell.low >= 0 else ".."
            below = f"{cell.low:.0f}{dash}{cell.high:.0f}" if cell.sd is None else f"±{cell.sd:.1f}"
            cells.append(
                Text.assemble(f"{cell.value:.1f}", "" if cell.exact else "\n", ("" if cell.exact else below, "dim"))
            )
        counts = sorted({n for cell in row.cells.values() for n in cell.n})
        n = "" if not counts else f"{counts[0]}" if len(counts) == 1 else f"≥{counts[0]}"
        seeds = f"\n×{row.seeds}" if row.seeds > 1 else ""
        name = Text(f"{row.model}: {row.name}" if several else row.name)
        table.add_row(name, _epochs(row), *cells, _share(row.truncated, row.responses, 1), str(row.errors), n + seeds)
    return table


def _data_table(results: Mapping[str, Any]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("Data", overflow="fold")
    table.add_column("Rows", justify="right")
    measured = any("shift" in entry for entry in results["data"])
    if measured:
        table.add_column("Perplexity under the LRM", overflow="fold")
    table.add_column("Step", no_wrap=True)
    for entry in results["data"]:
        perplexities = [Text("\n".join(perplexity_texts(entry)) or "–")] if measured else []
        rows = str(entry["summary"].get("examples", "–"))
        table.add_row(Text(entry["title"]), rows, *perplexities, Text(entry["step"]))
    return table


def _head(results: Mapping[str, Any]) -> list[str]:
    published = [f"Published: {name}" for name in published_columns(results).values()]
    return ["Model", "Data", "Epochs", *(NAMES[metric] for metric in METRICS), "Truncated", "Errors", "n", *published]


def _texts(row: Row, results: Mapping[str, Any]) -> list[str]:
    cells = [cell_text(row.cells.get(metric)) for metric in METRICS]
    return [
        row.model,
        row.name,
        _epochs(row),
        *cells,
        _share(row.truncated, row.responses, 2),
        str(row.errors),
        row.prompts,
        *(f"{row.published[key]:g}" if key in row.published else "–" for key in published_columns(results)),
    ]


def cell_text(cell: Cell | None, digits: int = 1) -> str:
    """Return a cell as text: of several seeds the deviation stands behind the mean, of one its interval."""
    if cell is None:
        return "–"
    if cell.sd is not None:
        return f"{cell.value:,.{digits}f} ± {cell.sd:,.{digits}f}"
    if cell.exact:
        return f"{cell.value:,.{digits}f}"
    return f"{cell.value:,.{digits}f} [{cell.low:,.{digits}f}, {cell.high:,.{digits}f}]"


def _epochs(row: Row) -> str:
    return "–" if row.epochs is None else f"{row.epochs:g}"


def _share(part: int, whole: int, digits: int) -> str:
    return f"{100 * part / whole:.{digits}f}%" if whole else "–"


def _note(results: Mapping[str, Any]) -> str:
    note = NOTE.format(level=f"{100 * results['confidence']:g} %")
    if published_columns(results):
        sources = ", ".join(f"{listed['title']} ({listed['source']})" for listed in results["published"])
        note += f" Published: {sources}, as reported, without intervals."
    return note


def _latex(text: str) -> str:
    escapes = {
        "\\": "\\textbackslash{}",
        "–": "--",
        "→": "$\\rightarrow$",
        "±": "$\\pm$",
        "×": "$\\times$",
        "~": "\\textasciitilde{}",
    }
    escapes |= {"^": "\\textasciicircum{}"} | {sign: f"\\{sign}" for sign in "&%$#_{}"}
    # A hyphen before a number is a minus.
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", "".join(escapes.get(letter, letter) for letter in text))
