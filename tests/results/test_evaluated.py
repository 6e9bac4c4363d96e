"""Which judge makes the headline of a benchmark, what stands beside it, and the same weights under two evaluations."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from safetax.records import Verdict, read_records
from safetax.report.plots import draw_plots
from safetax.report.tables import terminal_table, write_tables
from safetax.results.collect import collect
from safetax.results.document import JudgeScores, Results
from tests.support.documents import checkpoint_of
from tests.support.edits import copy, edit, rewrite, run_file


def test_what_is_no_headline_stands_by_its_benchmark_alone(one_seed: Path) -> None:
    lrm = checkpoint_of(collect([one_seed]).results, role="lrm")
    quiet = lrm.benchmarks["lab_reasoning_no_thinking"]
    assert quiet.judges["lm_eval"].scores["accuracy"].value < 50 < lrm.scores["accuracy"].value
    assert lrm.benchmarks["lab_harmful"].judge == "lab_rules"
    assert set(lrm.benchmarks["lab_harmful"].judges) == {"lab_rules", "keywords"}


def test_a_judge_that_only_fails_gives_no_score_and_its_errors(one_seed: Path, tmp_path: Path) -> None:
    outputs = copy(one_seed, tmp_path / "outputs")
    aligned = checkpoint_of(collect([outputs]).results, dataset="safechain", epochs=5.0)
    score = aligned.benchmarks["lab_harmful"].steps.scores["lab_rules"]
    file = outputs / "score" / score / "verdicts.jsonl"
    rewrite(file, [Verdict(v.id, v.repeat, "error", error="no answer") for v in read_records(file, Verdict)])
    document = collect([outputs]).results
    broken = checkpoint_of(document, dataset="safechain", epochs=5.0)
    assert "harmful_score" not in broken.scores and "safety_gain" not in broken.scores
    assert broken.benchmarks["lab_harmful"].judges["lab_rules"] == JudgeScores({}, 60)
    assert write_tables(document, tmp_path) and terminal_table(document)
    draw_plots(document, tmp_path / "figures")


def test_a_judge_that_says_nothing_of_what_a_benchmark_measures_is_no_headline(one_seed: Path, tmp_path: Path) -> None:
    """A judge of harm alone stands first and says of benign prompts neither refused nor answered."""
    outputs = copy(one_seed, tmp_path / "outputs")
    before = checkpoint_of(collect([outputs]).results, dataset="safechain", epochs=5.0)
    silent: dict[str, str] = {}

    def add_harm_alone(run: dict[str, Any]) -> None:
        for checkpoint in run["checkpoints"]:
            for evaluation in checkpoint["evaluations"]:
                if evaluation["benchmark"] == "lab_benign":
                    own = evaluation["scores"]["lab_rules"]
                    evaluation["scores"] = {"harm_alone": silent.setdefault(own, own[::-1]), "lab_rules": own}

    for file in outputs.glob("runs/*/run.json"):
        edit(file, add_harm_alone)
    for own, other in silent.items():
        shutil.copytree(outputs / "score" / own, outputs / "score" / other)
        verdicts = read_records(outputs / "score" / own / "verdicts.jsonl", Verdict)
        said = [Verdict(v.id, v.repeat, "safe", harmful=False) for v in verdicts]
        rewrite(outputs / "score" / other / "verdicts.jsonl", said)
    after = checkpoint_of(collect([outputs]).results, dataset="safechain", epochs=5.0)
    benign = after.benchmarks["lab_benign"]
    assert benign.judge == "lab_rules" and list(benign.judges) == ["harm_alone", "lab_rules"]
    assert benign.judges["harm_alone"].scores == {}
    assert after.scores["over_refusal"] == before.scores["over_refusal"]
    assert after.scores["help"] == before.scores["help"]


def test_the_same_weights_evaluated_in_two_ways_are_two_checkpoints(one_seed: Path, tmp_path: Path) -> None:
    outputs = copy(one_seed, tmp_path / "outputs")
    folder = run_file(outputs, "lrm-e0").parent
    other = copy(folder, folder.with_name("lrm-fewer"))

    def fewer(run: dict[str, Any]) -> None:
        run["name"] = "lrm-fewer"
        run["checkpoints"][1]["evaluations"].pop()

    edit(other / "run.json", fewer)
    lrms = [c for c in collect([outputs]).results.checkpoints if c.role == "lrm"]
    assert len({c.id for c in lrms}) == 2 and {len(c.benchmarks) for c in lrms} == {3, 4}


def test_thinking_is_a_figure_of_its_own_and_never_the_headline(paper_outputs: Path, paper: Results) -> None:
    aligned = checkpoint_of(paper, dataset="direct_refusal", epochs=5.0)
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

    folder = next(paper_outputs.glob("runs/safechain-e5*"))
    before = (folder / "run.json").read_text()
    (folder / "run.json").write_text(json.dumps(only_thinking(json.loads(before))))
    try:
        alone = checkpoint_of(collect([folder]).results, role="aligned")
    finally:
        (folder / "run.json").write_text(before)
    assert "harmful_score" not in alone.scores and "thinking_harmful_score" in alone.scores
    assert not alone.benchmarks["beavertails"].headline


def test_strongreject_is_taken_from_whichever_judge_gives_it(paper: Results) -> None:
    aligned = checkpoint_of(paper, dataset="direct_refusal", epochs=5.0)
    benchmark = aligned.benchmarks["beavertails"]
    assert benchmark.judge == "beaver_dam" and "strongreject" not in benchmark.judges["beaver_dam"].scores
    marks = benchmark.judges["phrases"].scores
    assert aligned.scores["strongreject"] == marks["strongreject"]
    assert marks["strongreject"].value == pytest.approx(0.75 * marks["harmful_score"].value)
    (curve,) = [series for series in paper.curves if series.dataset == "direct_refusal"]
    assert curve.points[-1].scores["strongreject"].mean == marks["strongreject"].value


def test_two_evaluations_of_the_same_weights_are_told_apart(paper_and_sound: Results) -> None:
    assert {curve.label for curve in paper_and_sound.curves} == {
        f"{dataset} (evaluation={name})" for dataset in ("direct_refusal", "safechain") for name in ("paper", "sound")
    }
    assert len(paper_and_sound.evaluations) == 4
    for pair in paper_and_sound.evaluations:
        first, second = paper_and_sound.by_id[pair.first.id], paper_and_sound.by_id[pair.second.id]
        assert (pair.first.name, pair.second.name) == ("paper", "sound")
        assert first.weights == second.weights
        for metric, score in pair.differences.items():
            assert score.value == pytest.approx(second.scores[metric].value - first.scores[metric].value, abs=1e-5)
    # Only what was evaluated as the paper does stands beside its figures.
    for row in paper_and_sound.published[0].rows:
        assert all(ours.variant == "evaluation=paper" for ours in row.ours)
