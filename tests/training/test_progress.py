"""A training that is asked to stop."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from safetax.store.manifest import sha256_of
from tests.support.tiny_models import chats, save_tiny, training_step
from tests.support.tiny_trainings import (
    losses,
    summary_of,
    train_by_hand,
)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=[pytest.mark.slow])])
def test_a_training_that_is_asked_to_stop_goes_on_to_the_same_weights(tmp_path: Path, ranks: int) -> None:
    """It writes a checkpoint at its next step, whatever the clock says, and takes the request away."""
    from safetax.store.stop_request import asked_to_stop, stop_file

    start = save_tiny(tmp_path / "start", "qwen2")
    settings: dict[str, Any] = {"epochs": 20, "learning_rate": 3e-3}
    runtime = {"devices": ranks, "checkpoint_minutes": 1e6}
    whole = training_step(tmp_path / "whole", start, chats(12), runtime, **settings)
    assert train_by_hand(whole).returncode == 0
    step = training_step(tmp_path / "cut", start, chats(12), runtime, **settings)
    process = subprocess.Popen(
        [sys.executable, "-m", "safetax.workers.train", str(step)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while not (step / "scratch" / "attempts.json").exists():  # noted when the first step begins
        assert process.poll() is None
        time.sleep(0.002)
    stop_file(step / "scratch").touch()
    _, said = process.communicate(timeout=200)
    assert process.returncode == 2 and b"as asked" in said, said
    assert not asked_to_stop(step / "scratch")
    assert len(list(step.glob("scratch/checkpoint-*/complete"))) == 1
    done = train_by_hand(step)
    assert done.returncode == 0, done.stderr
    summary = summary_of(step)
    assert summary["attempts"] == 2 and 0 < summary["resumed_at"] < 60
    assert sha256_of(step / "model" / "model.safetensors") == sha256_of(whole / "model" / "model.safetensors")
    assert losses(step) == losses(whole)
