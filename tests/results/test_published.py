"""Published figures, distinct prompts, judges, evaluations and costs, in results of the papers' shape."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from safetax.errors import ConfigError
from safetax.report.build import build_report
from safetax.report.tables import latex_table, markdown_table, terminal_table, write_tables
from safetax.results.collect import collect
from safetax.results.document import Results
from safetax.results.published import load, match_published, names
from tests.support.documents import checkpoint_of
from tests.support.places import ROOT


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


def test_a_published_row_stands_beside_what_is_the_same_under_another_name(paper: Results) -> None:
    aligned = checkpoint_of(paper, dataset="safechain", epochs=5.0)
    renamed = replace(aligned, model="r1", dataset="safechain_40k", epochs=3.0, evaluation=None)
    (listed,) = match_published({"thinksafe_r1_qwen_7b": ["r1"]}, [renamed])
    (row,) = [row for row in listed.rows if row.dataset == "safechain"]
    assert [(ours.dataset, ours.checkpoints) for ours in row.ours] == [("safechain_40k", (aligned.id,))]
    assert not any(other.ours for other in listed.rows if other is not row)


def test_published_figures_stand_beside_ours_and_in_no_score(paper_outputs: Path, paper: Results) -> None:
    (listed,) = paper.published
    rows = {(row.dataset, row.epochs, row.origin): row for row in listed.rows if row.role != "base"}
    row = rows["safechain", 5.0, "table"]
    aligned = checkpoint_of(paper, dataset="safechain", epochs=5.0)
    (ours,) = row.ours
    assert ours.checkpoints == (aligned.id,)
    assert ours.scores["accuracy"].value == aligned.scores["accuracy"].value
    gpqa = aligned.benchmarks["gpqa_diamond"].judges["grader"].scores["accuracy"]
    assert rows["safechain", 5.0, "figure"].ours[0].scores["gpqa_accuracy"].value == gpqa.value
    assert rows["safechain", 3.0, "figure"].ours == ()

    for file in paper_outputs.glob("runs/*/run.json"):
        record = json.loads(file.read_text())
        (file.parent / "run.json").write_text(json.dumps({**record, "config": {**record["config"], "published": None}}))
    try:
        without = collect([paper_outputs]).results
    finally:
        for file in paper_outputs.glob("runs/*/run.json"):
            record = json.loads(file.read_text())
            file.write_text(json.dumps({**record, "config": {**record["config"], "published": "safety_tax_s1"}}))
    assert without.published == ()
    assert replace(paper, published=()) == without


def test_tables_have_published_columns_where_a_run_names_a_set(paper: Results, tmp_path: Path) -> None:
    write_tables(paper, tmp_path)
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    (row,) = [row for row in rows if (row["dataset"], row["epochs"]) == ("direct_refusal", "5")]
    assert (row["published_accuracy"], row["published_gpqa_accuracy"]) == ("32.49", "35.35")
    assert "Published: Accuracy, GPQA diamond" in markdown_table(paper) and "arXiv:2503.00555" in latex_table(paper)
    write_tables(replace(paper, published=()), tmp_path)
    assert "published" not in (tmp_path / "table.csv").read_text()
    assert terminal_table(paper).row_count == len(paper.checkpoints)


def test_the_page_has_every_section_and_results_json_no_clock(paper_outputs: Path, tmp_path: Path) -> None:
    page = build_report(collect([paper_outputs]), tmp_path / "report").read_text()
    for part in (
        "Published figures",
        "Checks on the harmful score",
        "StrongREJECT, mean",
        "What training cost",
        "Embeddings moved, %",
        '<td class="number">1.0</td><td class="number">2.0</td>',
        "Krippendorff",
        "compared across tensor-parallel widths 4 and 8 (4: LRM; 8: base model, direct_refusal, safechain)",
        "of the thinking",
        "unresolved</small>",
    ):
        assert part in page, part
    assert "engine versions" not in page
    # No answer of these paper_outputs repeats a word, so that the column would be empty.
    assert not [each for each in collect([paper_outputs]).results.checkpoints if "harmful_or_repeated" in each.scores]
    assert '<th scope="col" class="number">Harmful or repeated words' not in page
    rows = list(csv.DictReader((tmp_path / "report" / "cost.csv").open()))
    (row,) = [row for row in rows if (row["dataset"], row["epochs"]) == ("safechain", "5.0")]
    assert (row["seconds"], row["device_hours"], row["peak_memory_gb"]) == ("28750.0", "63.888889", "118.6")
    assert (row["devices"], row["zero"], row["mfu"], row["device"]) == ("8", "3", "0.312", "NVIDIA H200")
    assert (row["moved_absent"], row["moved_seen"]) == ("0.0104", "0.02")
    written = (tmp_path / "report" / "results.json").read_text()
    assert not any(word in written for word in ("seconds", "H200", "118.6", "tensor_parallel", str(paper_outputs)))
    assert json.loads((tmp_path / "report" / "provenance.json").read_text())["training"][0]["seconds"] > 0


def test_runs_that_made_data_alone_have_a_report(paper_outputs: Path, tmp_path: Path) -> None:
    import shutil

    record = json.loads(next(paper_outputs.glob("runs/*/run.json")).read_text())
    made = next((paper_outputs / "prepare").iterdir())
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
