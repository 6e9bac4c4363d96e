"""The order of the rows."""

from __future__ import annotations

from typing import Any


def test_the_order_of_rows_is_that_of_one_rank_whatever_the_number_of_ranks() -> None:
    import torch
    from accelerate.data_loader import BatchSamplerShard, SeedableRandomSampler
    from torch.utils.data import BatchSampler

    from safetax.training.sampler import GlobalBatchSampler

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
