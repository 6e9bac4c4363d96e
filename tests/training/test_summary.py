"""The loss curve on disk, and what a summary says of the loss."""

from __future__ import annotations

import json
from pathlib import Path

from safetax.config.training import Training
from safetax.training.objectives.kl import Config
from safetax.training.summary import loss_summary, write_history

LOG = [
    {"loss": 2.0, "kl": 0.1, "step": 1, "epoch": 0.5, "learning_rate": 1e-3, "grad_norm": 1.5, "flos": 7},
    {"loss": 1.0, "step": 2, "epoch": 1.0, "learning_rate": 5e-4, "grad_norm": 0.5},
    {"train_runtime": 3.0, "step": 2},
]


def test_the_curve_has_the_optimiser_steps_and_what_is_known_of_them(tmp_path: Path) -> None:
    for objective in ("kl", None):
        history = write_history(tmp_path / "history.jsonl", LOG, objective)
        lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
        assert history == LOG[:2]
        first = {key: value for key, value in LOG[0].items() if key != "flos" and (objective or key != "kl")}
        assert lines == [first, LOG[1]]


def test_an_objective_has_the_value_of_the_last_step_that_it_had_one_in() -> None:
    training = Training(1, 1e-3, 8, 64, objective=Config("kl", 0.5))
    summary = loss_summary(training, LOG[:2], "kl")
    assert summary["final_loss"] == 1.0
    assert summary["objective"] == {"kind": "kl", "weight": 0.5, "part": None, "direction": "forward", "kl": 0.1}
    assert loss_summary(Training(1, 1e-3, 8, 64), [], None) == {"final_loss": None}
