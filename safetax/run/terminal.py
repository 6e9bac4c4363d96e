"""Where the commands print: as wide as the terminal, and wide enough for whole lines in a pipe or a file."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 200
"""Columns where no terminal says how many there are: a step is one line, which other programs can search."""


def standard_console() -> Console:
    """Return a console for standard output; COLUMNS in the environment sets its width."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
    return Console(highlight=False, width=width)
