"""Published figures, distinct prompts, judges, evaluations and costs, in results of the papers' shape."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from safetax.errors import ConfigError
from safetax.report.build import build_report
from safetax.report.plots import draw_plots
from safetax.report.plots.published import published_note, published_points
from safetax.report.tables import latex_table, markdown_table, terminal_table, write_tables
from safetax.results.collect import collect
from safetax.results.document import Results
from safetax.results.published import load, match_published, names
from safetax.results.reader import repeated_prompts
from safetax.results.scores import measure
from safetax.results.variants import variants
from safetax.statistics import mean_of_benchmarks
from tests.support.documents import checkpoint_of, edited
from tests.support.places import ROOT
from tests.support.synthetic_paper import make_paper_outputs


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_paper_outputs(tmp_path_factory.mktemp("paper") / "outputs", epochs=(0, 1, 5), size=0.4)


@pytest.fixture(scope="module")
def document(outputs: Path) -> Results:
    return collect([outputs]).results


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("both") / "outputs"
    return collect([make_paper_outputs(folder, ("paper", "sound"), epochs=(0, 5), size=0.4)]).results


def test_the_paper_s_figures_are_those_of_its_table_and_figure() -> None:
    published = load("safety_tax_s1")
    table = {
        (row.role, row.dataset, key): value
        for row in published.rows
        if row.origin == "table"
        for key, value in row.values.items()
    }
    assert table == {
        ("base", None, "accuracy"): 40.76,
        ("base", None, "harmful_score"): 16.70,
        ("lrm", None, "accuracy"): 63.40,
        ("lrm", None, "harmful_score"): 60.40,
        ("aligned", "safechain", "accuracy"): 56.31,
        ("aligned", "safechain", "harmful_score"): 30.80,
        ("aligned", "direct_refusal", "accuracy"): 32.49,
        ("aligned", "direct_refusal", "harmful_score"): 0.80,
    }
    lines: dict[tuple[str, str], list[float]] = {}
    for row in sorted(published.rows, key=lambda row: row.epochs or 0):
        for key, value in row.values.items():
            if row.dataset and key != "accuracy":
                lines.setdefault((row.dataset, key), []).append(value)
    assert lines["direct_refusal", "harmful_score"] == [1.7, 1.5, 1.0, 0.6, 0.8]
    assert lines["safechain", "harmful_score"] == [30.7, 30.4, 30.1, 29.0, 30.8]
    assert lines["direct_refusal", "gpqa_accuracy"] == [40.40, 41.41, 39.90, 37.88, 35.35]
    assert lines["safechain", "gpqa_accuracy"] == [56.57, 57.07, 49.49, 50.00, 51.52]


@pytest.mark.parametrize("name", names())
def test_every_set_can_be_read_and_names_its_source(name: str) -> None:
    published = load(name)
    assert published.source.startswith("arXiv:") and published.url.startswith("https://") and published.rows
    assert all(0 <= value <= 100 for row in published.rows for value in row.values.values())


def test_a_set_that_is_not_there_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"published=nowhere: .* allowed are safety_tax_s1"):
        load("nowhere")
    with pytest.raises(ConfigError, match=r"published=\.\./published/safety_tax_s1"):
        load("../published/safety_tax_s1")
    own = tmp_path / "own.yaml"
    own.write_text("title: mine\nsource: a preprint\nmeasures: {}\nrows: [{role: lrm, from: table, accuracy: 1.0}]\n")
    with pytest.raises(ConfigError, match="is no set of published figures"):
        load(str(own))
    own.write_text(own.read_text().replace("{}", "{accuracy: {name: A, metric: accuracy, benchmarks: []}}"))
    assert load(str(own)).name == "own" and load(str(own)).rows[0].values == {"accuracy": 1.0}


@pytest.mark.parametrize("name", names())
def test_published_rows_name_data_that_a_run_can_have(name: str) -> None:
    conf = ROOT / "conf"
    known = {path.stem for group in ("dataset", "method") for path in (conf / group).glob("*.yaml")}
    for row in load(name).rows:
        assert {row.dataset, *row.ours} - {None} <= known


def test_a_published_row_stands_beside_what_is_the_same_under_another_name(document: Results) -> None:
    aligned = checkpoint_of(document, dataset="safechain", epochs=5.0)
    renamed = replace(aligned, model="r1", dataset="safechain_40k", epochs=3.0, evaluation=None)
    (listed,) = match_published({"thinksafe_r1_qwen_7b": ["r1"]}, [renamed])
    (row,) = [row for row in listed.rows if row.dataset == "safechain"]
    assert [(ours.dataset, ours.checkpoints) for ours in row.ours] == [("safechain_40k", (aligned.id,))]
    assert not any(other.ours for other in listed.rows if other is not row)


def test_published_figures_stand_beside_ours_and_in_no_score(outputs: Path, document: Results) -> None:
    (listed,) = document.published
    rows = {(row.dataset, row.epochs, row.origin): row for row in listed.rows if row.role != "base"}
    row = rows["safechain", 5.0, "table"]
    aligned = checkpoint_of(document, dataset="safechain", epochs=5.0)
    (ours,) = row.ours
    assert ours.checkpoints == (aligned.id,)
    assert ours.scores["accuracy"].value == aligned.scores["accuracy"].value
    gpqa = aligned.benchmarks["gpqa_diamond"].judges["grader"].scores["accuracy"]
    assert rows["safechain", 5.0, "figure"].ours[0].scores["gpqa_accuracy"].value == gpqa.value
    assert rows["safechain", 3.0, "figure"].ours == ()

    for file in outputs.glob("runs/*/run.json"):
        record = json.loads(file.read_text())
        (file.parent / "run.json").write_text(json.dumps({**record, "config": {**record["config"], "published": None}}))
    try:
        without = collect([outputs]).results
    finally:
        for file in outputs.glob("runs/*/run.json"):
            record = json.loads(file.read_text())
            file.write_text(json.dumps({**record, "config": {**record["config"], "published": "safety_tax_s1"}}))
    assert without.published == ()
    assert replace(document, published=()) == without


def test_a_figure_of_another_quantity_is_neither_compared_nor_drawn(document: Results) -> None:
    measures = document.published[0].measures
    assert measures["gpqa_accuracy"].keys == ("accuracy/gpqa_diamond",) and measures["accuracy"].keys == ("accuracy",)
    drawn = published_points(document, ["accuracy", "harmful_score"])
    assert {(p.dataset, p.epochs): dict(p.values) for p in drawn if p.role == "aligned" and "accuracy" in p.values} == {
        ("direct_refusal", 5.0): {"accuracy": 32.49, "harmful_score": 0.8},
        ("safechain", 5.0): {"accuracy": 56.31, "harmful_score": 30.8},
    }
    assert {p.epochs for p in published_points(document, ["accuracy/gpqa_diamond"])} == {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}

    def without_gpqa(values: dict[str, Any]) -> None:
        for checkpoint in values["checkpoints"]:
            del checkpoint["benchmarks"]["gpqa_diamond"]
            checkpoint["benchmarks"]["beavertails"]["judge"] = "phrases"

    fewer = edited(document, without_gpqa).checkpoints
    (listed,) = match_published({"safety_tax_s1": ["deepseek32b"]}, fewer)
    assert [measure.keys for measure in listed.measures.values()] == [(), ("accuracy/gpqa_diamond",), ()]
    scores = [ours.scores for row in listed.rows for ours in row.ours]
    assert scores and not any("accuracy" in held or "gpqa_accuracy" in held for held in scores)
    # The published judge's score is there all the same, though another judge is the headline's.
    assert any("harmful_score" in held for held in scores)
    assert "another quantity" in published_note(replace(document, published=(listed,)), ["accuracy"])


def test_the_plots_have_the_published_points_and_say_so(document: Results, tmp_path: Path) -> None:
    figures = {figure["name"]: figure for figure in draw_plots(document, tmp_path / "with")}
    assert list(figures) == ["epochs", "tradeoff", "refusal", "benchmarks", "thinking"]
    for name in ("epochs", "tradeoff", "benchmarks"):
        assert "Hollow: published figures of Safety Tax" in figures[name]["caption"]
    for name in ("refusal", "thinking"):
        assert "Hollow" not in figures[name]["caption"]
    plain = {figure["name"]: figure for figure in draw_plots(replace(document, published=()), tmp_path / "without")}
    assert not any("Hollow" in figure["caption"] for figure in plain.values())
    for name, same in {"epochs": False, "tradeoff": False, "benchmarks": False, "refusal": True}.items():
        drawn = [(tmp_path / folder / f"{name}.svg").read_bytes() for folder in ("with", "without")]
        assert (drawn[0] == drawn[1]) == same, name


def test_tables_have_published_columns_where_a_run_names_a_set(document: Results, tmp_path: Path) -> None:
    write_tables(document, tmp_path)
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    (row,) = [row for row in rows if (row["dataset"], row["epochs"]) == ("direct_refusal", "5")]
    assert (row["published_accuracy"], row["published_gpqa_accuracy"]) == ("32.49", "35.35")
    assert "Published: Accuracy, GPQA diamond" in markdown_table(document) and "arXiv:2503.00555" in latex_table(
        document
    )
    write_tables(replace(document, published=()), tmp_path)
    assert "published" not in (tmp_path / "table.csv").read_text()
    assert terminal_table(document).row_count == len(document.checkpoints)


def test_repeated_prompts_are_no_independent_observations(document: Results) -> None:
    score = checkpoint_of(document, dataset="safechain", epochs=5.0).scores["harmful_score"]
    assert score.interval == "clustered" and score.unique is not None
    assert score.unique.n == 99 < score.n == 119
    examples = [
        {"id": str(number), "messages": [{"role": "user", "content": f"text {number % 10}"}], "meta": {}}
        for number in range(40)
    ]
    groups = repeated_prompts(examples)
    assert len(groups) == 40 and set(groups.values()) == {str(number) for number in range(10)}
    assert repeated_prompts(examples[:10]) == {}
    keyed = [{**example, "meta": {"prompt_key": example["id"]}} for example in examples]
    assert repeated_prompts(keyed) == {}

    # Four copies of ten prompts say as much as the ten: their interval is as wide.
    values = {str(number): float(number % 10 < 4) for number in range(40)}
    ten = mean_of_benchmarks({"": {key: values[key] for key in map(str, range(10))}})
    copies = mean_of_benchmarks({"": values}, groups=groups)
    careless = mean_of_benchmarks({"": values})
    assert copies == ten
    assert careless.value == copies.value and careless.high - careless.low < 0.7 * (copies.high - copies.low)


def test_uneven_repetition_weighs_rows_raw_and_prompts_once() -> None:
    evaluation = {"prompts": "set", "measures": "harmful", "headline": True}
    harmful = [True, True, True, False]
    verdicts = [
        {"id": str(n), "repeat": 0, "label": "", "harmful": value, "refused": None, "correct": None, "error": None}
        for n, value in enumerate(harmful)
    ]
    from safetax.results.scores import benchmark_scores

    score = benchmark_scores(measure(evaluation, verdicts, 0, {"0": "0", "1": "0", "2": "0"}))["harmful_score"]
    assert (score.value, score.n) == (75.0, 4)
    assert score.unique is not None and (score.unique.value, score.unique.n) == (50.0, 2)


def test_harmful_or_repeated_counts_what_either_says() -> None:
    evaluation = {"prompts": "set", "measures": "harmful", "headline": True}
    said = [(True, {}), (False, {"repeated_words": True}), (False, {}), (None, {"repeated_words": True})]
    verdicts = [
        {
            "id": str(n),
            "repeat": 0,
            "label": "",
            "harmful": h,
            "refused": None,
            "correct": None,
            "error": None,
            "detail": d,
        }
        for n, (h, d) in enumerate(said)
    ]
    measured = measure(evaluation, verdicts, 0)
    assert measured.values["harmful_or_repeated"] == {"0": 1.0, "1": 1.0, "2": 0.0}
    plain = [{**verdict, "detail": {}} for verdict in verdicts]
    assert "harmful_or_repeated" not in measure(evaluation, plain, 0).values
    assert "harmful_or_repeated" in measure(evaluation, plain, 0, repetition=True).values


def test_strongreject_is_the_mean_of_its_marks_beside_the_share_above_the_threshold() -> None:
    from safetax.results.scores import benchmark_scores, headline_scores

    evaluation = {"prompts": "set", "measures": "harmful", "headline": True}
    blank = {"repeat": 0, "label": "", "refused": False, "correct": None, "error": None}
    marks = [0.0, 0.25, 0.625, 1.0]
    verdicts = [
        {**blank, "id": str(n), "harmful": mark > 0.5, "detail": {"strongreject": mark, "convincing": 3}}
        for n, mark in enumerate(marks)
    ]
    failed = {**blank, "id": "4", "harmful": None, "detail": None, "error": "no answer"}
    measured = measure(evaluation, [*verdicts, failed], 0)
    score = benchmark_scores(measured)["strongreject"]
    assert (score.value, score.n, score.errors) == (46.875, 4, 1)
    assert score.interval == "bootstrap" and 0 <= score.low < 46.875 < score.high <= 100
    assert benchmark_scores(measured)["harmful_score"].value == 50.0
    assert headline_scores({"harmbench": measured})["strongreject"].value == 46.875
    twice = [*verdicts, *({**verdict, "repeat": 1, "detail": {"strongreject": 0.0}} for verdict in verdicts)]
    assert measure(evaluation, twice, 0).values["strongreject"] == {"0": 0.0, "1": 0.125, "2": 0.3125, "3": 0.5}
    plain = [{**verdict, "detail": {}} for verdict in verdicts]
    assert "strongreject" not in measure(evaluation, plain, 0).values


def test_thinking_is_a_figure_of_its_own_and_never_the_headline(outputs: Path, document: Results) -> None:
    aligned = checkpoint_of(document, dataset="direct_refusal", epochs=5.0)
    benchmark = aligned.benchmarks["beavertails"]
    assert benchmark.judge == "beaver_dam" and benchmark.judges["guard_of_thinking"].part == "thinking"
    thought = benchmark.judges["guard_of_thinking"].scores["harmful_score"]
    assert aligned.scores["thinking_harmful_score"] == thought
    assert thought.value > aligned.scores["harmful_score"].value

    def only_thinking(record: dict[str, Any]) -> dict[str, Any]:
        for checkpoint in record["checkpoints"]:
            for evaluation in checkpoint["evaluations"]:
                if evaluation["benchmark"] == "beavertails":
                    evaluation["scores"] = {"guard_of_thinking": evaluation["scores"]["guard_of_thinking"]}
        return record

    folder = next(outputs.glob("runs/safechain-e5*"))
    before = (folder / "run.json").read_text()
    (folder / "run.json").write_text(json.dumps(only_thinking(json.loads(before))))
    try:
        alone = checkpoint_of(collect([folder]).results, role="aligned")
    finally:
        (folder / "run.json").write_text(before)
    assert "harmful_score" not in alone.scores and "thinking_harmful_score" in alone.scores
    assert not alone.benchmarks["beavertails"].headline


def test_strongreject_is_taken_from_whichever_judge_gives_it(document: Results) -> None:
    aligned = checkpoint_of(document, dataset="direct_refusal", epochs=5.0)
    benchmark = aligned.benchmarks["beavertails"]
    assert benchmark.judge == "beaver_dam" and "strongreject" not in benchmark.judges["beaver_dam"].scores
    marks = benchmark.judges["phrases"].scores
    assert aligned.scores["strongreject"] == marks["strongreject"]
    assert marks["strongreject"].value == pytest.approx(0.75 * marks["harmful_score"].value)
    (curve,) = [series for series in document.curves if series.dataset == "direct_refusal"]
    assert curve.points[-1].scores["strongreject"].mean == marks["strongreject"].value


def test_agreement_is_over_all_checkpoints_and_of_answers_alone(document: Results) -> None:
    harmful = next(entry for entry in document.agreement if entry.metric == "harmful_score")
    assert harmful.benchmark == "beavertails" and harmful.judges == ("beaver_dam", "phrases")
    assert harmful.checkpoints == len(document.checkpoints) == 6
    assert harmful.prompts < 120 and harmful.pairs["beaver_dam / phrases"].n == 6 * 119
    assert harmful.alpha is not None
    assert 0.5 < harmful.alpha.low < harmful.alpha.value < harmful.alpha.high < 1


def test_two_evaluations_of_the_same_weights_are_told_apart(both: Results) -> None:
    assert {curve.label for curve in both.curves} == {
        f"{dataset} (evaluation={name})" for dataset in ("direct_refusal", "safechain") for name in ("paper", "sound")
    }
    assert len(both.evaluations) == 4
    for pair in both.evaluations:
        first, second = both.by_id[pair.first.id], both.by_id[pair.second.id]
        assert (pair.first.name, pair.second.name) == ("paper", "sound")
        assert first.weights == second.weights
        for metric, score in pair.differences.items():
            assert score.value == pytest.approx(second.scores[metric].value - first.scores[metric].value, abs=1e-5)
    # Only what was evaluated as the paper does stands beside its figures.
    for row in both.published[0].rows:
        assert all(ours.variant == "evaluation=paper" for ours in row.ours)


def test_the_name_of_an_evaluation_stands_for_what_it_sets_and_nothing_else() -> None:
    def config(name: str, budget: int, rate: float) -> dict[str, Any]:
        grader = {"kind": "sound" if name == "sound" else "paper_grader"}
        benchmark = {"aime24": {"grader": grader}}
        evaluation = {"name": name, "thinking_budget": budget, "grader": grader}
        return {"evaluation": evaluation, "benchmark": benchmark, "alignment": {"learning_rate": rate}}

    assert variants([config("paper", 5000, 1e-5), config("sound", 16384, 1e-5)]) == [
        "evaluation=paper",
        "evaluation=sound",
    ]
    assert variants([config("paper", 5000, 1e-5), config("sound", 16384, 2e-5)])[1] == (
        "evaluation=sound, alignment.learning_rate=2e-05"
    )
    data = [
        {**config("paper", 5000, 1e-5), "recipes": {"primer": words}, "world": {"s1k": words}} for words in ("a", "b")
    ]
    assert variants(data) == ["", ""], "what no data set of a run refers to tells it from no other"
    several = [config("paper", 5000, 1e-5), config("paper", 8000, 1e-5), config("sound", 16384, 1e-5)]
    assert variants(several)[1] == "evaluation=paper, evaluation.thinking_budget=8000"


def test_the_page_has_every_section_and_results_json_no_clock(outputs: Path, tmp_path: Path) -> None:
    page = build_report(collect([outputs]), tmp_path / "report").read_text()
    for part in (
        "Published figures",
        "Checks on the harmful score",
        "StrongREJECT, mean",
        "What training cost",
        "Krippendorff",
        "compared across tensor-parallel widths 4 and 8 (4: LRM; 8: base model, direct_refusal, safechain)",
        "of the thinking",
        "unresolved</small>",
    ):
        assert part in page, part
    assert "engine versions" not in page
    # No answer of these outputs repeats a word, so that the column would be empty.
    assert not [each for each in collect([outputs]).results.checkpoints if "harmful_or_repeated" in each.scores]
    assert '<th scope="col" class="number">Harmful or repeated words' not in page
    rows = list(csv.DictReader((tmp_path / "report" / "cost.csv").open()))
    (row,) = [row for row in rows if (row["dataset"], row["epochs"]) == ("safechain", "5.0")]
    assert (row["seconds"], row["device_hours"], row["peak_memory_gb"]) == ("28750.0", "63.888889", "118.6")
    assert (row["devices"], row["zero"], row["mfu"], row["device"]) == ("8", "3", "0.312", "NVIDIA H200")
    written = (tmp_path / "report" / "results.json").read_text()
    assert not any(word in written for word in ("seconds", "H200", "118.6", "tensor_parallel", str(outputs)))
    assert json.loads((tmp_path / "report" / "provenance.json").read_text())["training"][0]["seconds"] > 0


def test_runs_that_made_data_alone_have_a_report(outputs: Path, tmp_path: Path) -> None:
    import shutil

    record = json.loads(next(outputs.glob("runs/*/run.json")).read_text())
    made = next((outputs / "prepare").iterdir())
    folder = tmp_path / "outputs"
    shutil.copytree(made, folder / "prepare" / made.name)
    manifest = json.loads((made / "manifest.json").read_text())
    manifest |= {"title": "data safechain", "summary": {"examples": 989, "skipped": {"<b>no end</b>": 11}}}
    (folder / "prepare" / made.name / "manifest.json").write_text(json.dumps(manifest))
    record |= {"stage": "prepare", "checkpoints": [], "steps": [f"prepare/{made.name}"], "epochs": None}
    (folder / "runs" / record["name"]).mkdir(parents=True)
    (folder / "runs" / record["name"] / "run.json").write_text(json.dumps(record))
    page = build_report(collect([folder]), tmp_path / "report").read_text()
    assert "These runs made data and trained nothing" in page and "989" in page
    assert "skipped: &lt;b&gt;no end&lt;/b&gt;: 11" in page and "<b>no end" not in page
    document = collect([folder]).results
    assert document.checkpoints == () and document.published == ()
    assert terminal_table(document).row_count == 1 and markdown_table(document) and latex_table(document)
