"""The loss of an optimiser step over all ranks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tiny_models import chats, save_tiny, training_step
from tests.support.tiny_trainings import (
    losses,
    train_by_hand,
    train_in_process,
)


@pytest.mark.slow
def test_the_mean_over_rows_is_that_of_all_ranks(tmp_path: Path) -> None:
    """In the last step of each epoch one rank has no row; over its own rows alone the mean would be another."""
    start = save_tiny(tmp_path / "start", "qwen3", tie_word_embeddings=True)
    alone = training_step(tmp_path / "alone", start, chats(13), loss_mean="rows")
    ranks = training_step(tmp_path / "ranks", start, chats(13), {"devices": 2}, loss_mean="rows")
    by_token = training_step(tmp_path / "token", start, chats(13))
    assert train_in_process(alone) == train_in_process(by_token) == 0
    done = train_by_hand(ranks)
    assert done.returncode == 0, done.stdout + done.stderr
    assert losses(ranks) == pytest.approx(losses(alone), rel=1e-5)
    assert losses(by_token) != pytest.approx(losses(alone), rel=1e-3)
