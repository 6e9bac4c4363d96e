"""What the page's sections show of the results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from safetax.report.page import write_page
from safetax.report.sections import (
    category_tables,
    compared_evaluations,
    data_sets,
    engine_warnings,
    judge_tables,
    other_counts,
    safety_checks,
    sentences,
    verdict,
)
from safetax.results.alignment_data import DataSet
from safetax.results.collect import Collected
from safetax.results.document import Results
from safetax.statistics import Estimate


def test_a_verdict_is_what_the_interval_allows() -> None:
    assert verdict(Estimate(1.0, 0.1, 2.0)) == "cost"
    assert verdict(Estimate(-1.0, -2.0, -0.1)) == "gained"
    assert verdict(Estimate(1.0, 0.0, 2.0)) == "unclear"


def test_the_costliest_method_is_told_first_and_from_where_it_began(few: Results, sampled: Results) -> None:
    told = sentences(few)
    assert len(told) == len(few.curves) and {each.point.epochs for each in told} == {5.0}
    assert [each.tax.mean for each in told] == sorted((each.tax.mean for each in told), reverse=True)
    assert all(each.start == each.curve.points[0].scores and each.verdict == verdict(each.tax, each.p) for each in told)
    assert len(sentences(sampled)) == 2, "of runs on fewer samples none is told"


def test_the_page_frames_the_category_that_was_trained_on(categorised: Collected, tmp_path: Path) -> None:
    (table,) = category_tables(categorised.results)
    assert table.rows[0].label == "LRM" and len(table.rows) == 4
    framed = {row.trained_on[0]: row.cells for row in table.rows if row.trained_on}
    assert len(framed) == 2 and table.trained and all(name in cells for name, cells in framed.items())
    for row in table.rows:
        assert all(len(n) == len(score.values) for score, n in row.cells.values())
    text = write_page(categorised, tmp_path, tmp_path / "report.html").read_text()
    assert 'id="categories"' in text and text.count(" (trained on)</span>") == 2 and "Data from" in text


def test_checks_stand_beside_the_harmful_score_where_they_say_more(paper: Results, few: Results) -> None:
    checks = safety_checks(paper)
    assert checks is not None and checks.rows
    assert checks.columns == ["Harmful score", "Distinct prompts", "StrongREJECT, mean", "Thinking, judged apart"]
    for checkpoint, held in checks.rows:
        score = checkpoint.scores["harmful_score"]
        assert (held["Harmful score"], held["Distinct prompts"]) == (score, score.unique)
        assert held["Thinking, judged apart"] == checkpoint.scores["thinking_harmful_score"]
    assert safety_checks(few) is None


def test_judges_of_answers_are_compared_where_there_are_several(paper: Results, few: Results) -> None:
    table = next(table for table in judge_tables(paper) if table.metric == "harmful_score")
    assert (table.benchmark, table.columns) == ("beavertails", ["beaver_dam", "phrases"])
    assert len(table.rows) == len(paper.checkpoints)
    checkpoint, scores = table.rows[-1]
    assert scores["beaver_dam"] == checkpoint.scores["harmful_score"] != scores["phrases"]
    assert judge_tables(replace(few, checkpoints=())) == []


def test_two_evaluations_are_named_and_more_are_not(paper: Results, paper_and_sound: Results) -> None:
    assert compared_evaluations(paper_and_sound) == ("paper", "sound")
    assert compared_evaluations(paper) == ("One evaluation", "The other")


def test_checkpoints_that_other_engines_served_are_told(few: Results) -> None:
    served = {
        f"generate/{benchmark.steps.generate}": {"summary": {"engine_facts": {"version": "2", "dtype": "bfloat16"}}}
        for checkpoint in few.checkpoints
        for benchmark in checkpoint.benchmarks.values()
    }
    assert engine_warnings(few, served) == []
    lrm = next(checkpoint for checkpoint in few.checkpoints if checkpoint.role == "lrm")
    for benchmark in lrm.benchmarks.values():
        served[f"generate/{benchmark.steps.generate}"] = {"summary": {"engine_facts": {"version": "10"}}}
    (warning,) = engine_warnings(few, served)
    assert warning.startswith("lab is compared across engine versions 2 and 10 (2: ") and "10: LRM" in warning


def test_data_are_told_where_there_is_more_to_say_than_their_rows(few: Results) -> None:
    plain = DataSet("prepare/a", "data safechain", {"examples": 3})
    skipped = replace(plain, summary={"examples": 3, "skipped": {"no end": 11}, "ids": [1, 2], "none": []})
    assert other_counts(plain) == []
    assert other_counts(skipped) == [("skipped: no end", 11), ("ids", "1; 2")]
    assert data_sets(replace(few, data=(plain,))) == ()
    assert data_sets(replace(few, data=(plain, skipped))) == (plain, skipped)
    assert data_sets(replace(few, checkpoints=(), data=(plain,))) == (plain,)
