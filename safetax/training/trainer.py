"""Run a training's loop: transformers' Trainer with our optimizers, our order of rows and our objectives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Trainer
from transformers.trainer_callback import PrinterCallback

from safetax.config.training import Training
from safetax.data.chat import TrainingRow
from safetax.training.batches import (
    OBJECTIVE_TOKENS,
    Collator,
    TokenCount,
    objective_mask,
    padding_row,
    supervised_rows,
)
from safetax.training.objective_term import ObjectiveTerm
from safetax.training.optimizers import make_optimizer
from safetax.training.resume import Layout


@dataclass(eq=False)
class GlobalBatchSampler(torch.utils.data.Sampler[int]):
    """Samples the rows of an epoch, and padding up to a whole number of global batches.

    An epoch's last optimiser step may have fewer rows than the others. Left alone, several ranks would fill it with
    rows of the epoch's beginning, so that the number of ranks would decide what is trained on; here it is filled with
    an index that stands for a row without loss. On one rank the order is the one that accelerate makes from its seed.

    Args:
        rows: number of rows; also the index of the row without loss.
        global_batch: rows of an optimiser step over all ranks.
        seed: seed of the order.
        epoch: tells the number of the epoch that begins, from 0; called when it begins.
    """

    rows: int
    global_batch: int
    seed: int
    epoch: Callable[[], int]

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of one epoch."""
        generator = torch.Generator().manual_seed(self.seed + self.epoch())
        yield from torch.randperm(self.rows, generator=generator).tolist()
        yield from [self.rows] * (len(self) - self.rows)

    def __len__(self) -> int:
        """Return the number of indices of one epoch."""
        return math.ceil(self.rows / self.global_batch) * self.global_batch


class SupervisedTrainer(Trainer):
    """Trainer with our optimizers and our order of rows, which counts the tokens that it is trained on.

    Args:
        training: hyper-parameters.
        layout: ranks, and how optimizer states are spread over them.
        rows: the training rows.
        collator: makes their batches.
        term: of the objective; None: there is none.
        arguments: of transformers' Trainer.
    """

    def __init__(
        self,
        training: Training,
        layout: Layout,
        rows: Sequence[TrainingRow],
        collator: Collator,
        term: ObjectiveTerm | None,
        **arguments: Any,
    ) -> None:
        self.training = training
        self.layout = layout
        self.rows = len(rows)
        self.collator = collator
        self.term = term
        self.objective_tokens = 0
        self.token_count = TokenCount()
        dataset: Any = rows if layout.ranks == 1 else [*rows, padding_row(collator.pad)]
        super().__init__(**arguments, train_dataset=dataset, data_collator=collator)  # pyright: ignore[reportArgumentType]
        self.pop_callback(PrinterCallback)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Make the optimizer that the configuration names."""
        if self.optimizer is None:
            source: Any = model if model is not None else self.model
            decayed = self.get_decay_parameter_names(source)
            self.optimizer = make_optimizer(source, self.training, decayed, self.layout.offload != "none")
        return self.optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.layout.ranks == 1:
            return super()._get_train_sampler(train_dataset)
        steps = math.ceil(self.rows / self.training.global_batch)
        # Not a count of its own: a resumed training begins in the middle of an epoch.
        return GlobalBatchSampler(
            self.rows, self.training.global_batch, self.args.data_seed or 0, lambda: self.state.global_step // steps
        )

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> tuple[list[Any], Any]:
        """Return the micro batches of an optimiser step and what its loss is a mean over.

        With an objective the batches know how many tokens of the step are in it.
        """
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self.collator.by_row:
            items = self._sum_over_ranks(sum(supervised_rows(batch) for batch in batches), device)
        if self.term is not None:
            total = self._sum_over_ranks(sum(objective_mask(batch).sum() for batch in batches), device)
            self.objective_tokens = int(total)
            for batch in batches:
                batch[OBJECTIVE_TOKENS] = total
        return batches, items

    def _sum_over_ranks(self, own: Any, device: torch.device) -> Any:
        number = torch.as_tensor(own).to(device)
        total: Any = self.accelerator.gather(number) if self.layout.ranks > 1 else number
        return total.sum()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log an optimiser step, with the mean of the objective's term if a token of the step was in it."""
        if self.term is not None and "loss" in logs:
            value = float(self._sum_over_ranks(self.term.pop_mean(), self.args.device))
            if self.objective_tokens:
                logs[self.term.objective.name] = value
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Return 0: the operations are counted once, from the tokens, in :mod:`safetax.training.summary`."""
        return 0

    def training_step(self, *arguments: Any, **keywords: Any) -> torch.Tensor:
        """Train on one micro batch."""
        self.token_count += self.collator.counts.popleft()
        return super().training_step(*arguments, **keywords)
