"""Objectives: in a training's identity, one of a user's own, and one that would do nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from safetax.config.compose import Composer
from safetax.config.identity import identity, restore_node
from safetax.config.training import Training
from safetax.training.objectives import needs_reference, objective_of
from tests.support.tiny_models import save_tiny, training_step
from tests.support.tiny_trainings import KL, held_training, history, mixed, summary_of, train_in_process

OWN = '''
from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    kind: str
    weight: float = 1.0


@dataclass(frozen=True)
class Constant:
    """A term that moves nothing, so that its value is known."""

    weight: float
    name = "constant"

    def in_objective(self, example):
        return example.meta["mixture"] == "safety"

    def values(self, logits, labels, reference):
        assert reference is None and logits.shape[0] == labels.shape[0]
        return 3.0 + 0.0 * logits.sum(1)


def make(config):
    return Constant(config.weight)
'''


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("start"), "llama")


def test_identity_knows_it_and_trainings_without_keep_theirs() -> None:
    plain = Training(1, 1e-3, 8, 64)
    assert "objective" not in identity(plain)
    held = replace(plain, objective=KL)
    assert identity(held)["objective"] == {"kind": "kl", "weight": 0.5, "part": "benign", "direction": "forward"}
    for training in (plain, held):
        assert restore_node(Training, json.loads(json.dumps(identity(training)))) == training


def test_an_objective_of_a_user_s_own_needs_no_more_than_its_file(
    tmp_path: Path, start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "own_objectives"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "constant.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    (job,) = Composer().jobs(["alignment.objective={kind: own_objectives.constant, weight: 2}"], multirun=False)
    own = job.config.alignment.objective
    assert own is not None and objective_of(own).name == "constant" and not needs_reference(own)
    free = held_training(tmp_path / "free", start, objective=None)
    for chunk in (None, 3):
        step = held_training(tmp_path / f"{chunk}", start, {"micro_batch": 2, "loss_chunk": chunk}, objective=own)
        lines = [json.loads(line) for line in (step / "history.jsonl").read_text().splitlines()]
        # An optimiser step without a safety row has no value; where there is one, all their tokens have 3.
        assert {round(line["constant"], 5) for line in lines if "constant" in line} == {3.0}
        assert 0 < sum("constant" in line for line in lines) < len(lines)
        added = [line["loss"] - free for line, free in zip(lines, history(free, "loss"), strict=True)]
        assert added == pytest.approx([2 * line.get("constant", 0.0) for line in lines], abs=1e-3)
        assert summary_of(step)["objective"]["constant"] == pytest.approx(3)


def test_one_that_would_do_nothing_is_refused(tmp_path: Path, start: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step = training_step(tmp_path / "o", start, mixed(6), objective=replace(KL, part="bening"))
    assert train_in_process(step) == 2
    said = capsys.readouterr().err
    assert "part:bening" in said and "none of the 6 training rows" in said and "benign, safety" in said
