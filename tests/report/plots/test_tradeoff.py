"""The trade-off, and names in crowded figures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from matplotlib.text import Text

from safetax.report.plots import wanted_plots
from safetax.report.plots.style import DARK, LIGHT, themed
from safetax.report.plots.tradeoff import draw_tradeoff
from safetax.results.document import Results
from tests.support.documents import with_curves

FIVE = ("direct_refusal", "safechain", "dgr_direct_refusal", "thinksafe", "self_kl")


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_figures_hold_every_method_by_name(theme: Any, few: Results, sampled: Results) -> None:
    many = with_curves(few, (replace(c, label=f"{c.label} {n}") for n in (1, 2) for c in few.curves))
    drawings = {(name, size): d for size, doc in enumerate((few, many, sampled)) for name, *_, d in wanted_plots(doc)}
    texts = {}
    with themed(theme):
        for name, size in [("tradeoff", 0), ("tradeoff", 1), ("epochs", 1), ("shift", 0), ("samples", 2)]:
            figure = drawings[name, size](theme)
            texts[name, size] = " ".join(text.get_text() for text in figure.findobj(Text))
    for place in [("tradeoff", 1), ("epochs", 1)]:
        assert all(f"{name} {n}" in texts[place] for n in (1, 2) for name in FIVE)
    assert all(name in texts["shift", 0] for name in FIVE) and "ρ = " in texts["shift", 0]
    assert "Pareto front" in texts["tradeoff", 0] and "LRM" in texts["tradeoff", 1]
    assert "equal steps" in texts["samples", 2] and "Distinct Samples" in texts["samples", 2]


def test_of_many_curves_the_closer_panel_holds_every_last_point_and_its_bars(few: Results) -> None:
    many = with_curves(few, (replace(c, label=f"{c.label} {n}") for n in (1, 2) for c in few.curves))
    with themed(LIGHT):
        first, closer = draw_tradeoff(many, LIGHT).axes
    (left, right), (low, high) = closer.get_xlim(), closer.get_ylim()
    for curve in many.curves:
        harm, accuracy = (curve.points[-1].scores[metric] for metric in ("harmful_score", "accuracy"))
        assert left <= harm.low and harm.high <= right and low <= accuracy.low and accuracy.high <= high
    assert first.get_title(loc="left") == "All epochs"
