"""``runtime.keep``: weights that go, steps that stay complete, and weights that are made again when they are needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetax.store.status import Store
from tests.conftest import run_lab


def weights(outputs: Path) -> set[str]:
    return {path.parent.parent.name for path in outputs.glob("train/*/model/*.safetensors")}


def test_results_alone_stay_and_nothing_runs_again(copied_lab: Path) -> None:
    assert len(weights(copied_lab)) == 3
    assert "let go" in run_lab(copied_lab, "runtime.keep=results")
    assert weights(copied_lab) == set()
    assert all(Store(copied_lab).status(f"train/{path.name}").complete for path in copied_lab.glob("train/*"))
    assert "0 steps executed" in run_lab(copied_lab, "runtime.keep=results")


@pytest.mark.slow
def test_weights_that_are_needed_again_are_made_again(copied_lab: Path) -> None:
    before = (next(copied_lab.glob("runs/*/results.json"))).read_text()
    run_lab(copied_lab, "runtime.keep=results")
    text = run_lab(copied_lab, "evaluation=lab_no_thinking", "stage=reasoning")
    assert text.count("its weights were let go, and are needed") == 2, "base and LRM, not the aligned model"
    assert len(weights(copied_lab)) == 2
    assert "0 steps executed" in run_lab(copied_lab), "the same weights as before, so nothing that used them is stale"
    assert next(copied_lab.glob("runs/*-direct_refusal-*/results.json")).read_text() == before


def test_evaluated_checkpoints_stay(copied_lab: Path) -> None:
    run_lab(copied_lab, "runtime.keep=evaluated")
    assert len(weights(copied_lab)) == 3
