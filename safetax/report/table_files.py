"""How tables are written as files: CSV for programs, Markdown and LaTeX for papers."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write a table as CSV and return its path; None is an empty field."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
    return path


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int, note: str) -> str:
    """Return a table as GitHub's Markdown; the first ``texts`` columns hold text, the others numbers."""
    escaped = [[text.replace("|", "\\|") for text in row] for row in rows]
    return f"{_tabulated(head, escaped, texts, 'pipe')}\n\n{note}\n"


def latex(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int, note: str) -> str:
    """Return a table as a LaTeX tabular that needs the package booktabs.

    The first ``texts`` columns hold text, the first of them the model; a rule stands between models.
    """
    from tabulate import SEPARATING_LINE

    ruled: list[Any] = []
    for row in rows:
        if ruled and ruled[-1][0] != row[0]:
            ruled.append(SEPARATING_LINE)
        ruled.append(row)
    table = _tabulated(head, ruled, texts, "latex_booktabs")
    for sign, command in {"–": "--", "→": "$\\rightarrow$", "±": "$\\pm$", "×": "$\\times$"}.items():
        table = table.replace(sign, command)
    # A hyphen before a number is a minus.
    table = re.sub(r"(?<![\w-])-(?=\d)", "$-$", table)
    comments = ["Needs \\usepackage{booktabs}.", *note.split(". ")]
    return "\n".join([*(f"% {line}" for line in comments), table]) + "\n"


def _tabulated(head: Sequence[str], rows: Sequence[Any], texts: int, form: str) -> str:
    from tabulate import tabulate  # slow to import, and the terminal's table does without it

    sides = ["left"] * texts + ["right"] * (len(head) - texts)
    return tabulate(rows, head, tablefmt=form, colalign=sides if rows else None, disable_numparse=True)
