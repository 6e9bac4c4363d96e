"""Harmful scores by category of the prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safetax.config.compose import Composer
from safetax.plan.planner import plan
from safetax.plan.resolve import Resolver
from safetax.results.categories import by_category, trained_on
from safetax.results.collect import Collected, collect, write_results
from safetax.results.scores import Measured
from tests.support.synthetic import make_outputs


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
