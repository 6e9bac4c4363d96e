"""What the report says of many methods: front, shift, sample counts, categories, and their table."""

from __future__ import annotations

import csv
import itertools
import json
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text

from safetax.config.compose import Composer
from safetax.plan.planner import plan
from safetax.plan.resolve import Resolver
from safetax.report.method_table import REFINEMENT, write_method_tables, write_refinement
from safetax.report.page import write_page
from safetax.report.plots import wanted_plots
from safetax.report.plots.paths import paths
from safetax.report.plots.style import DARK, LIGHT, themed
from safetax.report.sections import category_tables, sentences
from safetax.results.categories import by_category, trained_on
from safetax.results.collect import Collected, collect, write_results
from safetax.results.document import Checkpoint, Curve, CurvePoint, PointScore, Results
from safetax.results.method_rows import last_rows, method_rows
from safetax.results.pareto import front, fronts
from safetax.results.refinement import refinement_effects
from safetax.results.sample_counts import find_series, without_fewer
from safetax.results.scores import Measured
from safetax.results.shifts import find_shifts, rank_correlation
from safetax.results.variants import Variant, data_variants
from tests.support.documents import edited
from tests.support.synthetic import make_outputs
from tests.support.synthetic_methods import METHODS, category_outputs, methods_outputs, samples_outputs

FIVE = ("direct_refusal", "safechain", "dgr_direct_refusal", "thinksafe", "self_kl")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Results:
    outputs = methods_outputs(tmp_path_factory.mktemp("few"), FIVE, (0, 1, 5), (0, 1), prompts=24)
    return collect([outputs]).results


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Results:
    outputs = samples_outputs(
        tmp_path_factory.mktemp("samples"), (1, 10, 100), ("direct_refusal",), (0, 1), (None, 100), prompts=30
    )
    return collect([outputs]).results


@pytest.fixture(scope="module")
def categorised(tmp_path_factory: pytest.TempPathFactory) -> Collected:
    outputs = category_outputs(tmp_path_factory.mktemp("categories"), prompts=24)
    return collect([outputs])


def _plain(results: Results, *keys: str) -> Results:
    """The results without some keys of their checkpoints, as they were before they were known."""

    def without(document: dict[str, Any]) -> None:
        for checkpoint in document["checkpoints"]:
            for key in keys:
                checkpoint.pop(key, None)

    return edited(results, without)


def _with_curves(results: Results, curves: Iterable[Curve]) -> Results:
    return replace(results, curves=tuple(curves))


def test_the_front_holds_what_no_other_point_beats() -> None:
    assert front([]) == []
    assert front([(3.0, 50.0)]) == [0]
    assert front([(10, 90), (0, 50), (5, 40), (5, 80)]) == [1, 3, 0]
    assert front([(5, 80), (5, 70), (7, 80)]) == [0], "as safe or as accurate is not enough"
    assert front([(5, 80), (0, 90), (5, 80)]) == [1]
    assert front([(5, 80), (9, 10), (5, 80)]) == [0, 2], "equal points do not beat each other"


def test_the_front_is_what_comparing_every_pair_gives() -> None:
    draw = random.Random(0)
    for _ in range(200):
        points = [(draw.randrange(6), draw.randrange(6)) for _ in range(draw.randrange(1, 12))]
        kept = [
            number
            for number, (harm, accuracy) in enumerate(points)
            if not any(h <= harm and a >= accuracy and (h, a) != (harm, accuracy) for h, a in points)
        ]
        assert sorted(front(points)) == kept, points


def _measured(identity: str, evaluation: str = "lab") -> Checkpoint:
    plain = {"variant": "", "weights": identity, "dataset": None, "lrm": None, "benchmarks": {}, "scores": {}}
    return Checkpoint(identity, "lrm", "m", evaluation=evaluation, epochs=0.0, seed=None, lrm_seed=0, **plain)


def _curve(*points: tuple[float, str, float, float]) -> Curve:
    """A curve of (epochs, checkpoint, harmful score, accuracy)."""
    listed = []
    for epochs, checkpoint, *means in points:
        harm, accuracy = (PointScore(mean, None, mean, mean, (mean,), (1,), 0, 0) for mean in means)
        scores = {"harmful_score": harm, "accuracy": accuracy}
        listed.append(CurvePoint(epochs, ((0, 0),), (checkpoint,), "interval", scores))
    return Curve("m", "data", "", "data", tuple(listed))


def test_fronts_hold_a_shared_lrm_once_and_each_evaluation_apart() -> None:
    curves = (
        _curve((0, "lrm", 60, 90), (1, "a", 10, 80)),
        _curve((0, "lrm", 60, 90), (1, "b", 20, 70), (2, "c", 5, 30)),
        _curve((0, "other", 50, 95), (1, "d", 1, 94)),
    )
    checkpoints = (*map(_measured, ("lrm", "a", "b", "c")), *(_measured(name, "other") for name in ("other", "d")))
    results = Results(1, 0.95, checkpoints, curves, (), (), (), (), ())
    one, other = fronts(results)
    assert [(place.curve, place.epochs) for place in one] == [(1, 2), (0, 1), (None, 0)]
    assert [(place.curve, place.epochs) for place in other] == [(2, 1), (None, 0)]
    assert fronts(_with_curves(results, ())) == []


def test_the_correlation_is_spearman_s() -> None:
    from scipy.stats import spearmanr

    draw, groups = random.Random(3), list(range(8))
    for _ in range(20):
        x, y = ([float(draw.randrange(6)) for _ in groups] for _ in range(2))  # with ties, which have their mean rank
        found, expected = rank_correlation(x, y, groups), spearmanr(x, y)
        assert found is not None and found.value == pytest.approx(expected[0])
    assert rank_correlation([1.0] * 8, list(range(8)), groups) is None, "nothing to rank"


def test_the_correlation_resamples_methods_and_claims_nothing_of_three() -> None:
    x = [1.0, 1.1, 2.0, 2.1, 5.0, 5.1, 9.0, 9.1, 14.0, 14.2]
    y = [1.0, 2.0, 4.0, 3.0, 9.0, 12.0, 8.0, 30.0, 50.0, 45.0]
    groups = [number // 2 for number in range(10)]
    found = rank_correlation(x, y, groups)
    assert found is not None and (found.n, found.groups) == (10, 5)
    assert found.low is not None and found.high is not None
    assert -1 <= found.low < found.value < found.high <= 1
    assert rank_correlation(x, y, groups) == found
    alone = rank_correlation(x, y, list(range(10)))
    assert alone is not None and alone.low is not None
    assert alone.high is not None and (alone.high - alone.low) < (found.high - found.low), "runs are no methods"
    assert rank_correlation(x[:6], y[:6], groups[:6]) is None
    certain = rank_correlation([1, 2, 3, 4], [1, 2, 3, 4], "abcd")
    assert certain is not None and certain.value == 1.0
    assert certain.low is None and certain.high is None, "four points in order are no certainty"


def _config(**dataset: Any) -> dict[str, Any]:
    return {"seed": 0, "dataset": {"kind": "subset", "source": {"kind": "safechain"}, **dataset}, "lr": 1.0}


def test_samples_tell_runs_apart_and_draws_do_not() -> None:
    configs = [_config(limit=limit, draw=draw) for limit in (10, None) for draw in (0, 1)]
    assert (
        data_variants(configs, [10, 10, 817, 817]) == [Variant("10 samples", "")] * 2 + [Variant("817 samples", "")] * 2
    )
    assert data_variants(configs[:2], [10, 10]) == [Variant(), Variant()]
    named = data_variants([*configs, {**_config(limit=10, draw=0), "lr": 2.0}], [1, 1, 1200, 1200, 1])
    assert [each.name for each in named[1:3]] == ["1 sample, lr=1.0", "1,200 samples, lr=1.0"]
    assert named[-1] == Variant("1 sample, lr=2.0", "lr=2.0")
    assert named[0].series == "lr=1.0"


def test_counts_of_filtered_data_do_not_tell_seeds_apart() -> None:
    assert data_variants([_config(), _config()], [990, 987]) == [Variant(), Variant()]
    nested = [_config(), _config()]
    nested[0]["dataset"]["source"]["limit"] = 20
    assert [each.name for each in data_variants([*nested, nested[0]], [18, 900, 19])] == [
        "18 to 19 samples",
        "900 samples",
        "18 to 19 samples",
    ]


def test_without_known_counts_or_with_equal_ones_settings_are_named() -> None:
    configs = [_config(limit=10, draw=0), _config(limit=None, draw=0)]
    old = ["dataset.limit=10", "dataset.limit=null"]
    assert data_variants(configs, [10, None]) == [Variant(name) for name in old]
    assert data_variants(configs, [10, 10]) == [Variant(f"10 samples, {name}", "") for name in old]


def test_draws_are_averaged_like_seeds_and_counts_are_not(sampled: Results) -> None:
    labels = [curve.label for curve in sampled.curves]
    assert labels[:3] == [f"direct_refusal ({n})" for n in ("1 sample", "10 samples", "100 samples")]
    assert len(labels) == 6
    for curve in sampled.curves:
        assert [len(point.checkpoints) for point in curve.points] == [1, 2]
        assert curve.points[1].seeds == ((0, 0, 0), (0, 0, 1)) and curve.points[0].seeds == ((0, 0),)


def test_series_say_whether_steps_or_epochs_are_equal(sampled: Results) -> None:
    series = find_series(sampled)
    assert {each.name for each in series} == {"direct_refusal, equal epochs", "direct_refusal, equal steps"}
    for each in series:
        assert each.counts == (1, 10, 100) and each.epochs == 5.0
        assert [len(point.checkpoints) for point in each.points] == [2, 2, 2]


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
    two = _with_curves(sampled, (curve for curve in sampled.curves if "10 samples" not in curve.label))
    assert without_fewer(two) is two, "two counts are two curves"


def test_the_shift_is_told_at_the_epochs_that_most_methods_share(few: Results) -> None:
    (shifts,) = find_shifts(few).settings
    assert shifts.name == "" and shifts.epochs == 5.0 and len(shifts.points) == 10 and len(shifts.chosen) == 5
    assert shifts.correlation is not None and (shifts.correlation.n, shifts.correlation.groups) == (10, 5)
    refined = next(p for p in shifts.chosen if few.curves[p.curve].dataset == "dgr_direct_refusal")
    assert refined.before == pytest.approx(METHODS["dgr_direct_refusal"][5]) and refined.after.value < 2
    plain = next(p for p in shifts.chosen if few.curves[p.curve].dataset == "safechain")
    token = METHODS["safechain"][4]
    assert plain.before is None and plain.after.value == pytest.approx(token)
    assert plain.after.low == pytest.approx(0.96 * token, abs=1e-5), "two runs on the same data measure it once"
    variants = _with_curves(few, (replace(curve, dataset="one") for curve in few.curves))
    assert find_shifts(variants).settings[0].correlation is None, "variants of one method are no methods"
    early = _with_curves(few, (replace(c, points=c.points[:2]) if n else c for n, c in enumerate(few.curves)))
    assert find_shifts(early).settings[0].epochs == 1.0
    assert find_shifts(_plain(few, "shift")).points == []


def _beside(results: Results, model: str, evaluation: str, epochs: int = 3) -> Results:
    """The results with the same runs under another LRM or evaluation, at fewer epoch counts."""

    def add(document: dict[str, Any]) -> None:
        checkpoints, curves = json.loads(json.dumps([document["checkpoints"], document["curves"]]))
        for each in checkpoints:
            each |= {"id": f"{each['id']}-{model}", "model": model, "evaluation": evaluation}
            for held in (each.get("shift") or {}).values():
                for value in ("token", "low", "high") if held else ():
                    held["all"][value] *= 10
        for curve in curves:
            curve |= {"model": model, "points": curve["points"][:epochs]}
            for point in curve["points"]:
                point["checkpoints"] = [f"{name}-{model}" for name in point["checkpoints"]]
        document["checkpoints"] += checkpoints
        document["curves"] += curves

    return edited(results, add)


def test_each_model_and_evaluation_has_a_shift_of_its_own(few: Results) -> None:
    (alone,) = find_shifts(few).settings
    assert alone.correlation is not None
    name = few.checkpoints[0].evaluation or ""
    one, other = find_shifts(_beside(few, "large", name, 2)).settings
    assert (one.name, other.name) == ("lab", "large") and (one.epochs, other.epochs) == (5.0, 1.0)
    assert one.correlation == alone.correlation, "what another LRM makes of the data changes nothing"
    one, other = find_shifts(_beside(few, "lab", "brief")).settings
    assert other.name == "brief" and one.name not in ("", "brief")
    assert one.correlation == other.correlation == alone.correlation
    three = find_shifts(_beside(_beside(few, "lab", "brief"), "large", "brief")).settings
    assert [setting.name for setting in three] == ["lab, no evaluation", "lab, brief", "large, brief"]
    assert all(len(point.runs) == 2 for setting in three[:2] for point in setting.points), (
        "seeds of the LRM stay together"
    )


def test_the_figure_of_several_models_has_a_panel_and_a_correlation_for_each(few: Results) -> None:
    document = _beside(few, "large", "lab", 2)
    caption, alt = _captions(document)["shift"]
    said = [find_shifts(document).settings[n].correlation for n in (0, 1)]
    for name, correlation in zip(("lab", "large"), said, strict=True):
        assert correlation is not None
        value = f"{correlation.value:.2f}".replace("-", "−")
        assert f"{name}: Spearman’s ρ = {value}" in alt
    assert "5 epochs (lab), 1 epoch (large)" in caption and "no common scale" in caption
    assert "n = 5 methods (10 runs)" in caption and "claimed" not in caption
    few_of_one = _with_curves(document, document.curves[:7])
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
    three = _with_curves(few, few.curves[:3])
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
    many = _with_curves(few, (replace(c, label=f"{c.label} {n}") for n in (1, 2) for c in few.curves))
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
    document = _with_curves(few, [*shares, *rest])
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


def test_the_table_of_methods_holds_every_method_and_its_front(few: Results, tmp_path: Path) -> None:
    rows = method_rows(few)
    last = last_rows(rows)
    assert {row.label for row in last} == set(FIVE) and len(rows) == 10
    taxes = [row.cells["safety_tax"].mean for row in last]
    assert taxes == sorted(taxes)
    refined = next(row for row in last if row.label == "dgr_direct_refusal")
    assert refined.before is not None and refined.after is not None and refined.fallback is not None
    assert 2 <= refined.fallback.mean <= 12 and refined.fallback.sd is not None
    assert refined.distinct == (1000,) and refined.runs == 2
    places = {(place.curve, place.epochs) for held in fronts(few) for place in held}
    labels = [curve.label for curve in few.curves]
    assert {(labels.index(row.label), row.epochs) for row in rows if row.on_front} == {p for p in places if p[1]}
    paths = write_method_tables(few, tmp_path)
    table = list(csv.DictReader((tmp_path / "methods.csv").read_text().splitlines()))
    assert len(table) == 10
    (line,) = [line for line in table if (line["method"], line["epochs"]) == ("safechain", "5")]
    assert float(line["shift_after"]) == pytest.approx(4.3) and line["shift_before"] == ""
    assert line["shift_after_sd"] == "" and float(line["shift_after_low"]) == pytest.approx(0.96 * 4.3)
    markdown = (tmp_path / "methods.md").read_text()
    assert "14.20 → 1." in markdown and "Pareto" in markdown and markdown.count("\n| lab ") == 5
    tex = (tmp_path / "methods.tex").read_text()
    assert "$\\rightarrow$" in tex and "self\\_kl" in tex
    assert write_method_tables(_plain(few, "data", "shift", "method"), tmp_path) == []
    assert not any(path.exists() for path in paths)


def test_a_refined_method_is_compared_with_its_source_run_by_run(few: Results, tmp_path: Path) -> None:
    effects = refinement_effects(few)
    assert [(each.refined, each.plain, each.epochs) for each in effects] == [
        ("dgr_direct_refusal", "direct_refusal", epochs) for epochs in (1.0, 5.0)
    ]
    scores = {
        (each.dataset, each.seed): each.scores["safety_tax"].value
        for each in few.checkpoints
        if each.epochs == 5 and each.role == "aligned"
    }
    by_hand = [scores["dgr_direct_refusal", seed] - scores["direct_refusal", seed] for seed in (0, 1)]
    change = effects[1].changes["safety_tax"]
    assert change.values == pytest.approx(by_hand) and effects[1].pairs == 2
    assert change.mean == pytest.approx(sum(by_hand) / 2)
    half = 12.7062 * abs(by_hand[0] - by_hand[1]) / 2  # t of one degree of freedom; the sd of two over their root
    assert change.interval is not None
    reach = (max(-100.0, change.mean - half), min(100.0, change.mean + half))
    assert (change.interval.low, change.interval.high) == pytest.approx(reach, rel=1e-4)
    write_refinement(few, tmp_path)
    (first, last) = csv.DictReader((tmp_path / REFINEMENT).read_text().splitlines())
    assert (first["epochs"], last["refined"], last["pairs"]) == ("1", "dgr_direct_refusal", "2")
    assert float(last["safety_tax"]) == pytest.approx(change.mean, abs=1e-6)
    alone = _with_curves(few, (curve for curve in few.curves if curve.dataset != "direct_refusal"))
    others = (each for each in alone.checkpoints if each.dataset != "direct_refusal")
    alone = replace(alone, checkpoints=tuple(others))
    write_refinement(alone, tmp_path)
    assert refinement_effects(alone) == [] and not (tmp_path / REFINEMENT).exists()


def test_a_document_that_knows_nothing_of_data_makes_the_report_it_made(tmp_path: Path) -> None:
    outputs = make_outputs(tmp_path / "outputs", ["safechain", "direct_refusal"], (0, 1), (0,), prompts=10)
    collected = collect([outputs])
    old = _plain(collected.results, "data", "shift", "method")
    assert method_rows(old) == [] and category_tables(old) == [] and find_series(old) == []
    assert list(_captions(old)) == ["epochs", "tradeoff", "refusal"]
    text = write_page(replace(collected, results=old), tmp_path / "figures", tmp_path / "report.html").read_text()
    for section in ("methods", "categories"):
        assert f'id="{section}"' not in text and f'href="#{section}"' not in text


def test_categories_are_scored_apart_and_add_up(categorised: Collected) -> None:
    for checkpoint in categorised.results.checkpoints:
        parts = checkpoint.categories["lab_harmful"]
        score = checkpoint.scores["harmful_score"]
        assert sum(part.n for part in parts.values()) == score.n
        mean = sum(part.n * part.value for part in parts.values()) / score.n
        assert mean == pytest.approx(score.value, abs=1e-4)
        assert all(part.low <= part.value <= part.high for part in parts.values())
        assert set(checkpoint.categories) == {"lab_harmful"}
    aligned = [each for each in categorised.results.checkpoints if each.role == "aligned"]
    assert len(aligned) == 6 and {each.trained_on for each in aligned} == {(), ("burn",), ("steal",)}


def test_the_page_frames_the_category_that_was_trained_on(categorised: Collected, tmp_path: Path) -> None:
    (table,) = category_tables(categorised.results)
    assert table.rows[0].label == "LRM" and len(table.rows) == 4
    framed = {row.trained_on[0]: row.cells for row in table.rows if row.trained_on}
    assert all(cells[name].trained for name, cells in framed.items())
    assert sum(cell.trained for row in table.rows for cell in row.cells.values()) == 2
    assert all(0 <= cell.heat <= 10 for row in table.rows for cell in row.cells.values())
    text = write_page(categorised, tmp_path, tmp_path / "report.html").read_text()
    assert 'id="categories"' in text and text.count(" (trained on)</span>") == 2 and "Data from" in text


def test_without_the_setting_there_are_no_categories(categorised: Collected, tmp_path: Path) -> None:
    outputs = make_outputs(tmp_path / "outputs", ["safechain"], (0, 1), (0,), prompts=5)
    write_results(collect([outputs]), tmp_path)
    assert "categories" not in (tmp_path / "results.json").read_text()
    assert categorised.results.checkpoints[0].categories


def test_a_prompt_may_have_several_categories_or_none() -> None:
    values = {"a": 1.0, "b": 0.0, "c": 1.0, "d": 0.0}
    measured = Measured("set", 4, True, {"harmful_score": values}, True, 0, 0)
    metas: dict[str, Any] = {
        "a": {"kind": {"x": True, "y": True, "z": False}},
        "b": {"kind": ["x"]},
        "c": {"kind": "y"},
    }
    examples = [{"id": name, "meta": metas.get(name, {})} for name in [*values, "never judged"]]
    found = by_category(measured, examples, "kind")
    assert {name: (part.value, part.n) for name, part in found.items()} == {"x": (50.0, 2), "y": (100.0, 2)}
    assert by_category(measured, examples, "other") == {}
    repeated = Measured("set", 4, True, {"harmful_score": values}, True, 0, 0, groups={"a": "a", "c": "a"})
    assert by_category(repeated, examples, "kind")["y"].n == 2


def test_what_was_trained_on_is_found_at_any_depth() -> None:
    source = {"kind": "subset", "where": {"category": ["theft", "fraud"]}}
    assert trained_on({"kind": "refined", "source": source}, "category") == ["theft", "fraud"]
    assert trained_on({"parts": {"a": source, "b": {"where": {"category": "theft"}}}}, "category") == ["theft", "fraud"]
    assert trained_on({"where": {"is_safe": False}, "rows": [1, "x"]}, "category") == []
    assert trained_on(None, "category") == []


def test_asking_for_categories_changes_no_step() -> None:
    composer, resolver = Composer(), Resolver()
    plans = [
        plan([(resolver.resolve(job.config), job.overrides) for job in composer.jobs(overrides, multirun=True)])
        for overrides in ((), ("categories=verb",))
    ]
    assert [step.key for step in plans[0].steps] == [step.key for step in plans[1].steps]
    assert plans[1].runs[0].config.categories == "verb"


def test_documents_with_samples_and_methods_are_the_same_each_time(few: Results) -> None:
    again = edited(few, lambda document: None)
    assert find_shifts(again) == find_shifts(few) and method_rows(again) == method_rows(few)
