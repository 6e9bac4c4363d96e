"""Where the commands print: as wide as the terminal, and wide enough for whole lines in a pipe or a file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from safetax.formatting import clock, visible
from safetax.store.manifest import ATTEMPT

PIPED_WIDTH = 200
"""Columns where no terminal says how many there are: a step is one line, which other programs can search."""
PATIENCE, PATIENCE_IN_A_LOG = 1.0, 15.0
"""Seconds between two lines that tell how far something is."""
T = TypeVar("T")
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


def counted(items: Sequence[T], what: str) -> Iterator[T]:
    """Pass items on; where that takes long, tell standard error how many are done, how fast, and what is left."""
    began = told = time.monotonic()
    terminal = sys.stderr.isatty()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - told > (PATIENCE if terminal else PATIENCE_IN_A_LOG):
            told, rate = now, done / (now - began)
            left = clock((len(items) - done) / rate) if rate else "unknown"
            line = f"{done:,} of {len(items):,} {what}, {rate:,.1f} a second, {left} left"
            print(f"\r{line}" if terminal else line, end="\x1b[K" if terminal else "\n", file=sys.stderr, flush=True)
        yield item
    if terminal and told > began:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


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
