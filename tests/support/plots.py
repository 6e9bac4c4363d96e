"""What plots say and draw, without files."""

from __future__ import annotations

from matplotlib.text import Text

from safetax.report.plots import wanted_plots
from safetax.report.plots.style import LIGHT, Theme, themed
from safetax.results.document import Results


def captions(document: Results) -> dict[str, tuple[str, str]]:
    """Caption and alternative text of each plot, which is not drawn."""
    return {name: (caption, alt) for name, _, caption, alt, _ in wanted_plots(document)}


def texts(document: Results, name: str, theme: Theme = LIGHT) -> list[str]:
    """Return all texts of a drawn plot."""
    (draw,) = [draw for each, *_, draw in wanted_plots(document) if each == name]
    with themed(theme):
        return [text.get_text() for text in draw(theme).findobj(Text)]
