"""Where the commands print: as wide as the terminal, and wide enough for whole lines in a pipe or a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from safetax.formatting import visible
from safetax.store.manifest import ATTEMPT

PIPED_WIDTH = 200
"""Columns where no terminal says how many there are: a step is one line, which other programs can search."""
TAIL_BYTES = 64 * 1024
"""Bytes at the end of a log that its last lines are looked for in."""


def standard_console(piped_width: int = PIPED_WIDTH) -> Console:
    """Return a console for standard output that shows text as it is; COLUMNS in the environment sets its width."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else piped_width
    return Console(highlight=False, markup=False, emoji=False, width=width)


def say(console: Console, text: str, style: str | None = None) -> None:
    """Print text as it is: no markup, no highlights, and no line broken."""
    console.print(visible(text), style=style, markup=False, highlight=False, soft_wrap=True)


def shown(path: Path) -> str:
    """Return a path as a person would type it: relative where it lies below the working folder."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def plain_table(*columns: str) -> Table:
    """Return an empty table; a name that begins with ``>`` is a column of numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        right = name.startswith(">")
        table.add_column(name.lstrip(">"), justify="right" if right else "left", no_wrap=name != "what it is")
    return table


def add_row(table: Table, *cells: Any) -> None:
    """Add a row to a table; text in it is taken as it is."""
    table.add_row(*(Text(visible(cell)) if isinstance(cell, str) else cell for cell in cells))


def tail(log: Path, lines: int) -> list[str]:
    """Return the last lines of a log that are not blank; of a worker's log, those of its last attempt."""
    if not log.is_file():
        return []
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            found = file.read().decode(errors="backslashreplace").splitlines()
    except OSError:
        return []
    begun = max((index for index, line in enumerate(found) if line.startswith(ATTEMPT)), default=0)
    return [line for line in found[begun:] if line.strip()][-lines:]
