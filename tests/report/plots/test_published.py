"""Published figures beside ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from safetax.report.plots import draw_plots
from safetax.report.plots.published import published_note, published_points
from safetax.results.document import Results
from safetax.results.published import match_published
from tests.support.documents import edited


def test_a_figure_of_another_quantity_is_neither_compared_nor_drawn(paper: Results) -> None:
    measures = paper.published[0].measures
    assert measures["gpqa_accuracy"].keys == ("accuracy/gpqa_diamond",) and measures["accuracy"].keys == ("accuracy",)
    drawn = published_points(paper, ["accuracy", "harmful_score"])
    assert {(p.dataset, p.epochs): dict(p.values) for p in drawn if p.role == "aligned" and "accuracy" in p.values} == {
        ("direct_refusal", 5.0): {"accuracy": 32.49, "harmful_score": 0.8},
        ("safechain", 5.0): {"accuracy": 56.31, "harmful_score": 30.8},
    }
    assert {p.epochs for p in published_points(paper, ["accuracy/gpqa_diamond"])} == {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}

    def without_gpqa(values: dict[str, Any]) -> None:
        for checkpoint in values["checkpoints"]:
            del checkpoint["benchmarks"]["gpqa_diamond"]
            checkpoint["benchmarks"]["beavertails"]["judge"] = "phrases"

    fewer = edited(paper, without_gpqa).checkpoints
    (listed,) = match_published({"safety_tax_s1": ["deepseek32b"]}, fewer)
    assert [measure.keys for measure in listed.measures.values()] == [(), ("accuracy/gpqa_diamond",), ()]
    scores = [ours.scores for row in listed.rows for ours in row.ours]
    assert scores and not any("accuracy" in held or "gpqa_accuracy" in held for held in scores)
    # The published judge's score is there all the same, though another judge is the headline's.
    assert any("harmful_score" in held for held in scores)
    assert "another quantity" in published_note(replace(paper, published=(listed,)), ["accuracy"])


def test_the_plots_have_the_published_points_and_say_so(paper: Results, tmp_path: Path) -> None:
    figures = {figure["name"]: figure for figure in draw_plots(paper, tmp_path / "with")}
    assert list(figures) == ["epochs", "tradeoff", "refusal", "benchmarks", "thinking"]
    for name in ("epochs", "tradeoff", "benchmarks"):
        assert "Hollow: published figures of Safety Tax" in figures[name]["caption"]
    for name in ("refusal", "thinking"):
        assert "Hollow" not in figures[name]["caption"]
    plain = {figure["name"]: figure for figure in draw_plots(replace(paper, published=()), tmp_path / "without")}
    assert not any("Hollow" in figure["caption"] for figure in plain.values())
    for name, same in {"epochs": False, "tradeoff": False, "benchmarks": False, "refusal": True}.items():
        drawn = [(tmp_path / folder / f"{name}.svg").read_bytes() for folder in ("with", "without")]
        assert (drawn[0] == drawn[1]) == same, name
