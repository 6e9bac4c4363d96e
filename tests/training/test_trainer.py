"""The order of the rows, and the loss of an optimiser step over all ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


def test_the_order_of_rows_is_that_of_one_rank_whatever_the_number_of_ranks() -> None:
    import torch
    from accelerate.data_loader import BatchSamplerShard, SeedableRandomSampler
    from torch.utils.data import BatchSampler

    from safetax.training.trainer import GlobalBatchSampler

    alone = SeedableRandomSampler(range(21), data_seed=5, generator=torch.Generator())
    for epoch in (0, 1, 3):
        alone.set_epoch(epoch)
        expected = list(BatchSampler(alone, 8, drop_last=False))
        for ranks, micro in ((2, 4), (4, 1), (8, 1)):
            order = GlobalBatchSampler(21, 8, 5, lambda epoch=epoch: epoch)
            shards: list[list[Any]] = [
                list(BatchSamplerShard(BatchSampler(order, micro, drop_last=False), ranks, rank))
                for rank in range(ranks)
            ]
            per_step = 8 // ranks // micro
            assert {len(shard) for shard in shards} == {3 * per_step}
            for step, wanted in enumerate(expected):
                taken = [
                    index
                    for shard in shards
                    for batch in shard[step * per_step : (step + 1) * per_step]
                    for index in batch
                    if index < 21
                ]
                assert sorted(taken) == sorted(wanted)
