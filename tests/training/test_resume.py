"""Which training checkpoint may be resumed, and that a resumed training ends at the same weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from safetax.errors import UserError
from safetax.store.manifest import clear, read_json, sha256_of
from tests.support.tiny_trainings import (
    aligned_step,
    losses,
    set_runtime,
    train_by_hand,
)


def test_resuming_on_other_ranks_is_refused_before_deepspeed_does(tmp_path: Path) -> None:
    from safetax.training.batches import TokenCount
    from safetax.training.resume import Layout, last_checkpoint, mark_complete

    whole, broken = tmp_path / "checkpoint-4", tmp_path / "checkpoint-9"
    whole.mkdir()
    mark_complete(tmp_path, 4, Layout(2), 1.0, TokenCount())
    broken.mkdir()
    found = last_checkpoint(tmp_path, Layout(2))
    assert found is not None and (found.path, found.step) == (whole, 4)
    with pytest.raises(UserError, match=r"devices=2 and cannot be resumed with .*devices=4: set runtime\.devices=2"):
        last_checkpoint(tmp_path, Layout(4))


def test_a_checkpoint_of_another_layout_is_not_resumed(tmp_path: Path) -> None:
    from safetax.training.batches import TokenCount
    from safetax.training.resume import Layout, last_checkpoint, mark_complete

    for step in (3, 6):
        (tmp_path / f"checkpoint-{step}").mkdir()
        mark_complete(tmp_path, step, Layout(4, 3), 12.5, TokenCount(100, 2000))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-6"]
    resumed = last_checkpoint(tmp_path, Layout(4, 3))
    assert resumed is not None and (resumed.step, resumed.seconds, resumed.token_count) == (
        6,
        12.5,
        TokenCount(100, 2000),
    )
    with pytest.raises(UserError, match=r"written with runtime\.zero=3 .* with runtime\.zero=2: set runtime\.zero=3"):
        last_checkpoint(tmp_path, Layout(4, 2))
    with pytest.raises(
        UserError, match=r"with runtime\.offload=none .* with .*offload=optimizer: set runtime\.offload=none"
    ):
        last_checkpoint(tmp_path, Layout(4, 3, "optimizer"))


@pytest.mark.slow
def test_killed_training_resumes_to_the_same_weights(copied_lab: Path) -> None:
    """The whole process group is killed behind a checkpoint; the rerun goes on from there, to the same bits."""
    step = aligned_step(copied_lab)
    before, history = sha256_of(step / "model" / "model.safetensors"), losses(step)
    clear(step)
    set_runtime(step, checkpoint_minutes=0.0001)
    process = subprocess.Popen(
        [sys.executable, "-m", "safetax.workers.train", str(step)], stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(step.glob("scratch/checkpoint-*/complete")):
        assert process.poll() is None, "the training ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (step / "manifest.json").exists()
    done = train_by_hand(step)
    assert done.returncode == 0, done.stderr
    summary = (read_json(step / "manifest.json") or {})["summary"]
    assert summary["resumed_at"] > 0
    assert sha256_of(step / "model" / "model.safetensors") == before
    assert losses(step) == history
    assert not (step / "scratch").exists()
