"""Summaries of a training: the loss curve on disk, the loss, seconds, tokens, operations and memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safetax.config.training import Training
from safetax.training.objectives.kl import Config
from safetax.training.summary import loss_summary, training_flops, write_history
from tests.support.tiny_models import chats, save_tiny, training_step
from tests.support.tiny_trainings import summary_of, train_in_process

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


def test_what_a_training_cost_is_told(tmp_path: Path) -> None:
    start = save_tiny(tmp_path / "start", "llama")
    rows = chats(10)
    step = training_step(tmp_path / "o", start, rows, epochs=3)
    assert train_in_process(step) == 0
    summary = summary_of(step)
    assert summary["tokens"] == 3 * summary["tokens_per_epoch"] > 0
    assert summary["tokens_per_second"] == pytest.approx(summary["tokens"] / summary["train_seconds"], rel=0.02)
    assert (summary["optimizer_steps"], summary["attempts"], summary["resumed_at"]) == (9, 1, 0)
    assert summary["lost_seconds"] < 0.1
    assert summary["startup_seconds"] > 0 and 0.1 < summary["peak_memory_gb"] < 24
    assert (summary["devices"], summary["zero"], summary["gpu"], summary["mfu"]) == (1, 0, None, None)


def test_operations_of_a_training_by_hand() -> None:
    from safetax.config.training import Lora
    from safetax.training.batches import TokenCount
    from safetax.training.lora import add_adapters
    from tests.support.tiny_models import tiny_model

    layer = 64 * 64 + 2 * 64 * 32 + 64 * 64 + 3 * 64 * 96 + 2 * 64  # q, k and v, o, the three of the MLP, two norms
    head = 97 * 64
    attention = 12 * 2 * 64 * 500
    untied, tied = (tiny_model("llama", 97, tie_word_embeddings=tie) for tie in (False, True))
    expected = 6 * (2 * layer + 64 + head) * 30 + attention
    assert training_flops(untied, TokenCount(30, 500)) == training_flops(tied, TokenCount(30, 500)) == expected
    adapted = add_adapters(untied, Lora(rank=2, target_modules=["o_proj"]), float32=True)
    adapters = 2 * 2 * (64 + 64)
    expected = (6 * adapters + 4 * (2 * layer + 64 + head)) * 30 + attention
    assert training_flops(adapted, TokenCount(30, 500)) == expected
