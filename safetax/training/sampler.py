"""The order in which a training goes through its rows, the same for any number of ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch


class GlobalBatchSampler(torch.utils.data.Sampler[int]):
    """Samples the rows of an epoch, and padding up to a whole number of global batches.

    An epoch's last optimiser step may have fewer rows than the others. Left alone, several ranks would fill it with
    rows of the epoch's beginning, so that the number of ranks would decide what is trained on; here it is filled with
    an index that stands for a row without loss. On one rank the order is the one that accelerate makes from its seed.
    """

    def __init__(self, rows: int, global_batch: int, seed: int, epoch: Callable[[], int]) -> None:
        """Make the sampler.

        Args:
            rows: number of rows; also the index of the row without loss.
            global_batch: rows of an optimiser step over all ranks.
            seed: seed of the order.
            epoch: tells the number of the epoch that begins, from 0; called when it begins.
        """
        self.rows = rows
        self.length = -(-rows // global_batch) * global_batch
        self.seed = seed
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of one epoch."""
        generator = torch.Generator().manual_seed(self.seed + self.epoch())
        yield from torch.randperm(self.rows, generator=generator).tolist()
        yield from [self.rows] * (self.length - self.rows)

    def __len__(self) -> int:
        """Return the number of indices of one epoch."""
        return self.length
