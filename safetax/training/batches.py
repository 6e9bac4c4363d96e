"""Training rows and the batches that they are trained in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from safetax.data.chat import ChatRenderer, TrainingRow
from safetax.errors import UserError
from safetax.records import Example
from safetax.training.packing import ROW_LENGTHS

IGNORED = -100
"""Label of a token without loss."""
ROW_TOKENS = "row_tokens"
"""Key of how many supervised tokens each token's row has, in a batch whose loss is a mean over rows."""


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
    """Makes batches of training rows, and notes how much each holds.

    Shorter rows are padded on the right; packed rows lie end to end instead (see :mod:`safetax.training.packing`).
    """

    pad: int
    objective: bool = False
    """Whether the batches say which tokens are of rows that the training's objective concerns."""
    packed: bool = False
    by_row: bool = False
    """Whether the batches say what a loss that is a mean over rows needs."""
    waiting: deque[Work] = field(default_factory=deque)
    """The work of the batches that were made, oldest first; who trains on a batch takes its entry."""

    def __call__(self, rows: Sequence[TrainingRow]) -> dict[str, Any]:
        """Return ``input_ids`` and ``labels`` of shape [batch, longest], and ``attention_mask`` of the same.

        Packed, the shape is [1, tokens], and in place of the mask there are ``position_ids``, also of it, and
        ``row_lengths``. With an objective there is ``concerned`` besides: of each token whether its row is concerned.
        By row there are ``row_tokens``: of each token how many supervised ones its row has.
        """
        self.waiting.append(sum((_work(row) for row in rows), Work()))
        ids = [torch.tensor(row.tokens) for row in rows]
        labels = [tokens.clone() for tokens in ids]
        for row, own in zip(rows, labels, strict=True):
            own[: max(1, row.completion_start)] = IGNORED  # nothing predicts a row's first token
        batch: dict[str, Any] = {
            "input_ids": self._joined(ids, self.pad),
            "labels": self._joined(labels, IGNORED),
        }
        if self.packed:
            batch["position_ids"] = self._joined([torch.arange(len(tokens)) for tokens in ids], 0)
            batch[ROW_LENGTHS] = [len(tokens) for tokens in ids]
        else:
            batch["attention_mask"] = self._joined([torch.ones_like(tokens) for tokens in ids], 0)
        if self.objective:
            concerned = [torch.full(tokens.shape, row.concerned) for row, tokens in zip(rows, ids, strict=True)]
            batch["concerned"] = self._joined(concerned, False)
        if self.by_row:
            counts = [(own != IGNORED).sum().expand(own.shape) for own in labels]
            batch[ROW_TOKENS] = self._joined(counts, 0)
        return batch

    def _joined(self, values: Sequence[torch.Tensor], filling: int) -> torch.Tensor:
        """Return one tensor of the rows' own: end to end, or one under the other and filled up."""
        if self.packed:
            return torch.cat(list(values)).unsqueeze(0)
        return torch.nn.utils.rnn.pad_sequence(list(values), batch_first=True, padding_value=filling)


def supervised_rows(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return how many rows of a batch that was made by row carry loss, a float32 scalar."""
    return (1.0 / batch[ROW_TOKENS][batch["labels"] != IGNORED]).sum().round()


def _work(row: TrainingRow) -> Work:
    """Return what a row adds to the work; one without loss is none."""
    length = len(row.tokens)
    return Work(length, length * length) if row.completion_start < length else Work()


def concerned_tokens(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return whether the objective's term is made of a token's prediction, shape [batch, longest - 1].

    It is where the token carries loss and its row is concerned. Position t predicts token t + 1.
    """
    return (batch["labels"][:, 1:] != IGNORED) & batch["concerned"][:, 1:]


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
