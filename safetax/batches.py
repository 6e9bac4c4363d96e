"""Training rows and the batches that they are trained in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from safetax.chat import ChatRenderer, TrainingRow
from safetax.errors import UserError
from safetax.records import Example

IGNORED = -100
"""Label of a token without loss."""


@dataclass(frozen=True)
class Work:
    """How much was trained on: tokens, and the sum of the squares of the rows' lengths, which attention costs."""

    tokens: int = 0
    squares: int = 0

    def __add__(self, other: Work) -> Work:
        """Return the sum."""
        return Work(self.tokens + other.tokens, self.squares + other.squares)


@dataclass
class Collator:
    """Pads training rows to the longest of the batch, on the right, and notes how much each batch holds."""

    pad: int
    objective: bool = False
    """Whether the batches say which rows the training's objective concerns."""
    waiting: deque[Work] = field(default_factory=deque)
    """The work of the batches that were made, oldest first; who trains on a batch takes its entry."""

    def __call__(self, rows: Sequence[TrainingRow]) -> dict[str, torch.Tensor]:
        """Return ``input_ids``, ``attention_mask`` and ``labels``, each of shape [batch, longest].

        With an objective there is ``concerned`` besides: of each row whether it is one of those, shape [batch].
        """
        longest = max(len(row.tokens) for row in rows)
        ids = torch.full((len(rows), longest), self.pad)
        mask = torch.zeros((len(rows), longest), dtype=torch.long)
        labels = torch.full((len(rows), longest), IGNORED)
        work = Work()
        for index, row in enumerate(rows):
            length = len(row.tokens)
            tokens = torch.tensor(row.tokens)
            ids[index, :length] = tokens
            mask[index, :length] = 1
            labels[index, row.completion_start : length] = tokens[row.completion_start :]
            if row.completion_start < length:
                work += Work(length, length * length)
        self.waiting.append(work)
        batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        return {**batch, "concerned": torch.tensor([row.concerned for row in rows])} if self.objective else batch


def concerned_tokens(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return whether the objective's term is made of a token's prediction, shape [batch, longest - 1].

    It is where the token carries loss and its row is concerned. Position t predicts token t + 1.
    """
    return (batch["labels"][:, 1:] != IGNORED) & batch["concerned"].unsqueeze(1)


def tokenise(
    examples: Sequence[Example],
    renderer: ChatRenderer,
    max_tokens: int,
    skipped: list[str] | None = None,
    concerns: Callable[[Example], bool] | None = None,
) -> list[TrainingRow]:
    """Return the training rows of a data set.

    Args:
        examples: the data set.
        renderer: renders and tokenises them.
        max_tokens: longest row.
        skipped: takes the reasons of rows that cannot be trained on, which are left out; None: the first is an error.
        concerns: whether the training's objective has a term of a row; None: there is no objective.

    Raises:
        UserError: an example carries no loss or is too long; names it by index and reason. Or no row is left.
    """
    rows = []
    for index, example in enumerate(examples):
        reason = remedy = ""
        try:
            row = renderer.row(example)
        except ValueError as error:
            reason = f"cannot be trained on: {error}"
        else:
            if len(row.tokens) <= max_tokens:
                rows.append(row if concerns is None else replace(row, concerned=concerns(example)))
                continue
            reason = f"has {len(row.tokens)} tokens, more than max_tokens={max_tokens}"
            remedy = "; raise it, leave the row out, or set the data set's on_bad_row=skip"
        message = f"Row {index} ({example.id}) of the data {reason}"
        if skipped is None:
            raise UserError(f"{message}{remedy}.")
        skipped.append(message)
    if not rows:
        why = f" All {len(skipped)} were skipped; the first: {skipped[0]}." if skipped else ""
        raise UserError(f"The data has no rows, so there is nothing to train on.{why}")
    return rows


def filler(pad: int) -> TrainingRow:
    """Return a row without loss, which gives a rank something to do in an optimiser step that has no row for it."""
    return TrainingRow([pad], 1)


class Order(torch.utils.data.Sampler[int]):
    """The order of the rows in each epoch, the same for any number of ranks.

    An epoch's last optimiser step may have fewer rows than the others. Left alone, several ranks would fill it with
    rows of the epoch's beginning, so that the number of ranks would decide what is trained on; here it is filled with
    an index that stands for a row without loss. On one rank the order is the one that accelerate makes from its seed.
    """

    def __init__(self, rows: int, batch: int, seed: int, epoch: Callable[[], int]) -> None:
        """Make the order.

        Args:
            rows: number of rows; also the index of the row without loss.
            batch: rows of an optimiser step over all ranks.
            seed: seed of the order.
            epoch: tells the number of the epoch that begins, from 0; asked when it begins.
        """
        self.rows = rows
        self.filled = -(-rows // batch) * batch
        self.seed = seed
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of one epoch."""
        generator = torch.Generator().manual_seed(self.seed + self.epoch())
        yield from torch.randperm(self.rows, generator=generator).tolist()
        yield from [self.rows] * (self.filled - self.rows)

    def __len__(self) -> int:
        """Return the number of indices of one epoch."""
        return self.filled
