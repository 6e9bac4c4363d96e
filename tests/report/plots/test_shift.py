"""The plot of tax against distribution shift."""

from __future__ import annotations

from safetax.report.plots.shift import draw_shift
from safetax.report.plots.style import LIGHT, themed
from safetax.results.document import Results
from safetax.results.shifts import find_shifts
from tests.support.documents import beside, with_curves
from tests.support.plots import captions


def test_the_figure_of_several_models_has_a_panel_and_a_correlation_for_each(few: Results) -> None:
    document = beside(few, "large", "lab", 2)
    caption, alt = captions(document)["shift"]
    said = [find_shifts(document).settings[n].correlation for n in (0, 1)]
    for name, correlation in zip(("lab", "large"), said, strict=True):
        assert correlation is not None
        value = f"{correlation.value:.2f}".replace("-", "−")
        assert f"{name}: Spearman’s ρ = {value}" in alt
    assert "5 epochs (lab), 1 epoch (large)" in caption and "no common scale" in caption
    assert "n = 5 methods (10 runs)" in caption and "claimed" not in caption
    few_of_one = with_curves(document, document.curves[:7])
    caption, alt = captions(few_of_one)["shift"]
    assert "fewer than 4 methods in a panel" in caption and "large: No rank correlation" in alt and "ρ = " in alt
    with themed(LIGHT):
        panels = draw_shift(document, find_shifts(document), LIGHT).axes
    titles = [axes.get_title(loc="left").partition("\n") for axes in panels]
    assert [(title[0], title[2][:10]) for title in titles] == [("lab", "Spearman’s"), ("large", "Spearman’s")]
    assert panels[0].get_xlim()[1] < panels[1].get_xlim()[1]
    assert "panel" not in captions(few)["shift"][0]


def test_without_enough_methods_no_correlation_is_claimed(few: Results) -> None:
    three = with_curves(few, few.curves[:3])
    assert find_shifts(three).settings[0].correlation is None
    caption, alt = captions(three)["shift"]
    assert "no correlation is claimed" in caption and "ρ =" not in alt
