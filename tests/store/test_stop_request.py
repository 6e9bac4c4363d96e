"""Requests to stop a training; that it stops and goes on is tested with its progress."""

from __future__ import annotations

from pathlib import Path

from safetax.store.stop_request import asked_to_stop, stop_file
from tests.support.tiny_models import chats, save_tiny, training_step
from tests.support.tiny_trainings import summary_of, train_in_process


def test_a_request_to_an_attempt_that_ended_before_does_not_stop_the_next(tmp_path: Path) -> None:
    step = training_step(tmp_path / "o", save_tiny(tmp_path / "start", "llama"), chats(8))
    scratch = step / "scratch"
    scratch.mkdir()
    stop_file(scratch).touch()
    assert asked_to_stop(scratch)
    assert train_in_process(step) == 0
    assert summary_of(step)["attempts"] == 1
