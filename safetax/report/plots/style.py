"""How plots look and how they are written: colours for light and dark, markers, and files without dates."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.6)),
    (0, (6, 1.6, 1.2, 1.6)),
    (0, (1.4, 1.4)),
    (0, (9, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)

CROWDED = 8
"""Curves above which a plot names them beside it or at their points, and draws no line of a single seed."""

Draw = Callable[["Theme"], "Figure"]


@dataclass(frozen=True)
class Theme:
    """Colours of a plot. The first lines are Okabe and Ito's, which colour-blind readers tell apart; two darker (in the
    dark theme stronger) ones follow that are as far from each of them as they are from each other.
    """

    ink: str
    faint: str
    grid: str
    paper: str
    """Background, also around markers and labels; plots for dark pages are written without it."""
    base: str
    front: str
    """Behind the points of a Pareto front."""
    lines: tuple[str, ...]
    dark: bool = False

    def line(self, index: int) -> dict[str, Any]:
        """Return colour, marker and dashes of the line number ``index``; no two of the first seventy-two are alike."""
        return {
            "color": self.lines[index % len(self.lines)],
            "marker": MARKERS[index % len(MARKERS)],
            "linestyle": DASHES[index % len(DASHES)],
        }

    def text(self, color: str) -> str:
        """Return a colour between that of a line and the ink, in which small letters can be read."""
        parts = ((int(color[at : at + 2], 16), int(self.ink[at : at + 2], 16)) for at in (1, 3, 5))
        return "#" + "".join(f"{round(0.6 * of_line + 0.4 * of_ink):02x}" for of_line, of_ink in parts)


LIGHT = Theme(
    ink="#1a1a1a",
    faint="#5f5f5f",
    grid="#e3e3e3",
    paper="#ffffff",
    base="#7a7a7a",
    front="#ffe08a",
    lines=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#4B2E83", "#7A1F3D"),
)
DARK = Theme(
    ink="#ececec",
    faint="#b4b4b4",
    grid="#3a3f47",
    paper="#16191d",
    base="#a0a0a0",
    front="#6b5a1e",
    lines=("#56B4E9", "#E69F00", "#2CC295", "#E39AC3", "#F0E442", "#F0814A", "#8F7BFF", "#D0475A"),
    dark=True,
)


def settings(theme: Theme) -> dict[str, Any]:
    """Return matplotlib's settings for the theme; the salt makes the ids in SVG files the same each time."""
    return {
        "svg.hashsalt": "safetax",
        "svg.fonttype": "path",
        "pdf.fonttype": 42,
        "font.family": "DejaVu Sans",
        "font.size": 9.5,
        "axes.titlesize": 10.5,
        "axes.labelsize": 10,
        "axes.edgecolor": theme.faint,
        "axes.labelcolor": theme.ink,
        "axes.linewidth": 0.8,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": theme.grid,
        "grid.linewidth": 0.7,
        "text.color": theme.ink,
        "xtick.color": theme.faint,
        "ytick.color": theme.faint,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "legend.frameon": False,
        "legend.fontsize": 9.5,
        "figure.facecolor": theme.paper,
        "figure.dpi": 100,
        "savefig.dpi": 200,
    }


@contextmanager
def themed(theme: Theme) -> Iterator[None]:
    """Draw with the theme's settings and without any that a user's own matplotlibrc has."""
    import matplotlib

    chosen: Any = settings(theme)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        with matplotlib.rc_context(chosen):
            yield


def footnote(figure: Figure, text: str, theme: Theme) -> None:
    """Put a small wrapped text below the axes, inside the layout."""
    width = int(figure.get_figwidth() * 17.5)
    wrapped = "\n".join(line for part in text.splitlines() for line in textwrap.wrap(part, width))
    figure.supxlabel(wrapped, x=0.012, ha="left", fontsize=7.5, color=theme.faint, linespacing=1.35)


NO_DATE: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
"""The formats of a figure, and what is left out of each so that the same figure is the same file."""


def file_names(name: str) -> list[str]:
    """Return the names of the files that a figure is written to."""
    return [*(f"{name}.{suffix}" for suffix in NO_DATE), f"{name}-dark.svg"]


def save(draw: Draw, directory: Path, name: str) -> list[str]:
    """Draw a figure in both themes, write it as SVG, PDF, PNG and as SVG for dark pages, and return the file names."""
    with themed(LIGHT):
        figure = _laid_out(draw(LIGHT))
        for suffix, metadata in NO_DATE.items():
            figure.savefig(directory / f"{name}.{suffix}", metadata=metadata)
    with themed(DARK):
        _laid_out(draw(DARK)).savefig(directory / f"{name}-dark.svg", metadata=NO_DATE["svg"], transparent=True)
    return file_names(name)


def _laid_out(figure: Figure) -> Figure:
    """Return the figure with its layout made, once for all formats; a layout engine would draw it twice for each."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)
    return figure
