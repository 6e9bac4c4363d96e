"""Curves over epochs, their seeds, and the LRM that they begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safetax.results.collect import collect
from tests.support.documents import checkpoint_of
from tests.support.edits import copy, edit, run_file
from tests.support.synthetic import DATASETS, make_outputs


def test_a_shared_checkpoint_occurs_once_and_the_lrm_begins_every_curve(one_seed: Path) -> None:
    document = collect([one_seed]).results
    assert [c.role for c in document.checkpoints] == ["base", "lrm"] + ["aligned"] * 4
    assert [curve.label for curve in document.curves] == ["direct_refusal", "safechain"]
    lrm = checkpoint_of(document, role="lrm").id
    for curve in document.curves:
        assert [point.epochs for point in curve.points] == [0.0, 1.0, 5.0]
        assert curve.points[0].checkpoints == (lrm,)
        assert {point.bars for point in curve.points} == {"interval"}


def test_over_seeds_there_are_mean_and_spread_and_no_pooled_prompts(three_seeds: Path) -> None:
    document = collect([three_seeds]).results
    point = document.curves[0].points[1]
    assert point.seeds == ((0, 0), (1, 1), (2, 2)) and point.bars == "seeds"
    for metric, score in point.scores.items():
        assert score.mean == pytest.approx(sum(score.values) / 3, abs=1e-5), metric
        assert score.low <= score.mean <= score.high
        if max(score.values) > min(score.values):
            student = 4.303 * (score.sd or 0.0) / 3**0.5
            assert score.high - score.mean > 0.9 * min(student, 100 - score.mean), "of the mean, over seeds and prompts"
        assert len(score.n) == 3 and max(score.n) <= 60


def test_alignment_seeds_that_share_an_lrm_count_it_once(tmp_path: Path) -> None:
    outputs = make_outputs(tmp_path / "outputs", DATASETS[:1], (0, 1), [(0, 7), (1, 7), (2, 7)])
    (curve,) = collect([outputs]).results.curves
    assert [len(point.checkpoints) for point in curve.points] == [1, 3]
    assert curve.points[0].scores["accuracy"].sd is None


def test_a_setting_that_was_changed_makes_a_curve_of_its_own(one_seed: Path, tmp_path: Path) -> None:
    outputs = copy(one_seed, tmp_path / "outputs")
    for epochs in ("1", "5"):
        folder = run_file(outputs, f"safechain-e{epochs}-").parent
        other = copy(folder, folder.with_name(f"{folder.name}-again"))

        def change(run: dict[str, Any], name: str = other.name) -> None:
            run["name"] = name
            run["config"]["alignment"]["learning_rate"] = 5e-5
            old = run["checkpoints"][-1]["train"]
            run["checkpoints"][-1]["train"] = f"{old[:-1]}{'0' if old[-1] != '0' else '1'}"

        edit(other / "run.json", change)
    document = collect([outputs]).results
    assert [curve.label for curve in document.curves] == [
        "direct_refusal",
        "safechain (alignment.learning_rate=0.0001)",
        "safechain (alignment.learning_rate=5e-05)",
    ]
    assert all([point.bars for point in curve.points] == ["interval"] * 3 for curve in document.curves)
