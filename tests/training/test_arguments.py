"""Optimiser steps and the Trainer's arguments that a training's settings come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safetax.config.training import Training
from safetax.training.arguments import optimizer_steps, training_arguments
from tests.support.tiny_models import RUNTIME


@pytest.mark.parametrize(
    ("epochs", "rows", "steps"), [(1, 16, 2), (1, 17, 3), (2, 17, 6), (0.5, 17, 2), (0.01, 17, 1), (1.5, 24, 5)]
)
def test_a_fraction_of_an_epoch_is_rounded_up_to_a_step(epochs: float, rows: int, steps: int) -> None:
    assert optimizer_steps(Training(epochs, 1e-3, 8, 64), rows) == steps


@pytest.mark.parametrize(
    ("runtime", "micro", "accumulated"),
    [({}, 8, 1), ({"micro_batch": 2}, 2, 4), ({"devices": 2}, 4, 1), ({"devices": 2, "micro_batch": 1}, 1, 4)],
)
def test_micro_batches_add_up_to_the_global_batch(
    tmp_path: Path, runtime: dict[str, Any], micro: int, accumulated: int
) -> None:
    training = Training(2, 1e-3, 8, 64, warmup_ratio=0.1, max_grad_norm=None)
    found = training_arguments(training, RUNTIME | runtime, 5, 30, tmp_path)
    assert (found.per_device_train_batch_size, found.gradient_accumulation_steps) == (micro, accumulated)
    assert (found.max_steps, found.warmup_steps, found.max_grad_norm) == (8, 1, 0.0)
    assert (found.seed, found.data_seed) == (5, 5)
