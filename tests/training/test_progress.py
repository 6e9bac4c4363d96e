"""When a training saves, and one that is asked to stop."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from safetax.store.job import StepJob
from safetax.store.manifest import sha256_of
from safetax.training.batches import TokenCount
from safetax.training.progress import ProgressCallback
from tests.support.tiny_models import chats, save_tiny, training_step
from tests.support.tiny_steps import silent
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


@pytest.mark.parametrize(("minutes", "saves"), [(1e6, []), (0.0, [1, 2, 3])])
def test_a_checkpoint_is_due_by_the_clock_and_never_at_the_last_step(
    tmp_path: Path, minutes: float, saves: list[int]
) -> None:
    step = training_step(tmp_path / "o", tmp_path / "start", chats(4), {"checkpoint_minutes": minutes})
    told: list[tuple[int, int, float]] = []
    callback = ProgressCallback(StepJob(step, silent()), lambda *values: told.append(values), None)
    callback.trainer = SimpleNamespace(token_count=TokenCount(100))  # type: ignore[assignment]
    arguments, control = SimpleNamespace(world_size=1), SimpleNamespace(should_save=False)
    due = []
    for number in range(1, 5):
        state = SimpleNamespace(global_step=number, max_steps=4, is_world_process_zero=True)
        callback.on_step_end(arguments, state, control)
        due += [number] * control.should_save
    assert due == saves
    assert [entry[:2] for entry in told] == [(1, 4), (2, 4), (3, 4), (4, 4)] and all(entry[2] > 0 for entry in told)
