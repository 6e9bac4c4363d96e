"""What the report says of many methods: front, shift, sample counts, categories, and their table."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text

from safetax.report.page import write_page
from safetax.report.plots import wanted_plots
from safetax.report.plots.paths import paths
from safetax.report.plots.style import DARK, LIGHT, themed
from safetax.report.sections import category_tables, sentences
from safetax.results.collect import collect
from safetax.results.document import Results
from safetax.results.method_rows import method_rows
from safetax.results.sample_counts import find_series, without_fewer
from safetax.results.shifts import find_shifts
from tests.support.documents import beside, edited, with_curves, without
from tests.support.synthetic import make_outputs
from tests.support.synthetic_methods import samples_outputs

FIVE = ("direct_refusal", "safechain", "dgr_direct_refusal", "thinksafe", "self_kl")


def test_samples_within_a_mixture_make_a_series_and_their_draws_are_told(tmp_path: Path) -> None:
    outputs = samples_outputs(tmp_path, (1, 10, 40), ("direct_refusal",), (0, 1), (40,), prompts=12, replayed=True)
    document = collect([outputs]).results
    (series,) = find_series(document)
    assert series.steps and series.counts == (21, 30, 60), "20 of them are replayed"
    assert [point.seeds for point in series.points] == [((0, 0, 0), (0, 0, 1))] * 3
    assert "draws 0, 1" in _captions(document)["samples"][0]


def test_other_plots_show_the_largest_count_alone(sampled: Results) -> None:
    shown = without_fewer(sampled)
    assert len(shown.curves) == 2 and shown.left_out == 4
    assert all("(100 samples" in curve.label for curve in shown.curves)
    assert {each.data.distinct for each in shown.checkpoints if each.data} == {100}
    assert len(sentences(sampled)) == 2
    two = with_curves(sampled, (curve for curve in sampled.curves if "10 samples" not in curve.label))
    assert without_fewer(two) is two, "two counts are two curves"


def test_the_figure_of_several_models_has_a_panel_and_a_correlation_for_each(few: Results) -> None:
    document = beside(few, "large", "lab", 2)
    caption, alt = _captions(document)["shift"]
    said = [find_shifts(document).settings[n].correlation for n in (0, 1)]
    for name, correlation in zip(("lab", "large"), said, strict=True):
        assert correlation is not None
        value = f"{correlation.value:.2f}".replace("-", "−")
        assert f"{name}: Spearman’s ρ = {value}" in alt
    assert "5 epochs (lab), 1 epoch (large)" in caption and "no common scale" in caption
    assert "n = 5 methods (10 runs)" in caption and "claimed" not in caption
    few_of_one = with_curves(document, document.curves[:7])
    caption, alt = _captions(few_of_one)["shift"]
    assert "fewer than 4 methods in a panel" in caption and "large: No rank correlation" in alt and "ρ = " in alt
    (draw,) = [draw for name, *_, draw in wanted_plots(document) if name == "shift"]
    with themed(LIGHT):
        panels = draw(LIGHT).axes
    titles = [axes.get_title(loc="left").partition("\n") for axes in panels]
    assert [(title[0], title[2][:10]) for title in titles] == [("lab", "Spearman’s"), ("large", "Spearman’s")]
    assert panels[0].get_xlim()[1] < panels[1].get_xlim()[1]
    assert "panel" not in _captions(few)["shift"][0]


def _captions(document: Results) -> dict[str, tuple[str, str]]:
    """Caption and alternative text of each plot, which is not drawn."""
    return {name: (caption, alt) for name, _, caption, alt, _ in wanted_plots(document)}


def test_without_enough_methods_no_correlation_is_claimed(few: Results) -> None:
    three = with_curves(few, few.curves[:3])
    assert find_shifts(three).settings[0].correlation is None
    caption, alt = _captions(three)["shift"]
    assert "no correlation is claimed" in caption and "ρ =" not in alt


def test_figures_say_what_they_show(few: Results, sampled: Results) -> None:
    figures = _captions(few)
    assert list(figures) == ["epochs", "tradeoff", "refusal", "shift"]
    correlation = find_shifts(few).settings[0].correlation
    assert correlation is not None
    caption, alt = figures["shift"]
    assert f"ρ = {correlation.value:.2f}" in alt and "10 runs" in caption
    assert "5 epochs" in caption and "bootstrap over methods" in caption
    assert "On the Pareto front" in figures["tradeoff"][1] and "Pareto front" in figures["tradeoff"][0]
    counted = _captions(sampled)
    assert list(counted) == ["epochs", "tradeoff", "refusal", "shift", "samples"]
    assert "equal steps" in counted["samples"][1] and "at 100" in counted["samples"][1]
    assert "draws 0, 1" in counted["samples"][0] and "n = " in counted["samples"][0]
    assert "figure of sample counts" in counted["epochs"][0]
    assert "figure of sample counts" not in figures["epochs"][0]


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


def test_interpolated_weights_are_one_path_in_the_tradeoff(few: Results) -> None:
    first, *rest = few.curves
    shares = [
        replace(first, interpolation=a, variant=f"interpolation={a:g}", label=f"x (interpolation={a:g})")
        for a in (1.0, 0.25, 0.5)
    ]
    drawn = paths([*shares, *rest])
    assert len(drawn) == 1 + len(rest) and [line.number for line in drawn] == [2, 3, 4, 5, 6]
    assert drawn[0].label == f"{first.dataset}, weights interpolated"
    assert drawn[0].told == ("0", "×0.25", "×0.5", "×1") and len(drawn[0].points) == 4
    other = [*shares, replace(shares[0], variant="interpolation=1, alignment.learning_rate=0.1")]
    assert [line.label.count("learning_rate") for line in paths(other)] == [0, 1]
    document = with_curves(few, [*shares, *rest])
    assert "share of the aligned" in _captions(document)["tradeoff"][0]
    with themed(LIGHT):
        (draw,) = [draw for name, *_, draw in wanted_plots(document) if name == "tradeoff"]
        texts = [text.get_text() for text in draw(LIGHT).findobj(Text)]
    assert "×0.25" in texts and drawn[0].label in texts


def test_many_curves_are_told_apart_in_both_themes() -> None:
    for theme in (LIGHT, DARK):
        styles = [tuple(map(str, theme.line(index).values())) for index in range(72)]
        assert len(set(styles)) == 72
        for one, other in itertools.combinations(range(16), 2):
            first, second = theme.line(one), theme.line(other)
            assert (first["color"], first["marker"]) != (second["color"], second["marker"])
        assert theme.text("#000000") != theme.text("#ffffff")


def test_a_document_that_knows_nothing_of_data_makes_the_report_it_made(tmp_path: Path) -> None:
    outputs = make_outputs(tmp_path / "outputs", ["safechain", "direct_refusal"], (0, 1), (0,), prompts=10)
    collected = collect([outputs])
    old = without(collected.results, "data", "shift", "method")
    assert method_rows(old) == [] and category_tables(old) == [] and find_series(old) == []
    assert list(_captions(old)) == ["epochs", "tradeoff", "refusal"]
    text = write_page(replace(collected, results=old), tmp_path / "figures", tmp_path / "report.html").read_text()
    for section in ("methods", "categories"):
        assert f'id="{section}"' not in text and f'href="#{section}"' not in text


def test_documents_with_samples_and_methods_are_the_same_each_time(few: Results) -> None:
    again = edited(few, lambda document: None)
    assert find_shifts(again) == find_shifts(few) and method_rows(again) == method_rows(few)
