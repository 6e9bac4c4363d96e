"""Batches of training rows: padded or packed, with the labels of the loss and the mask of the objective."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from safetax.data.chat import TrainingRow
from safetax.training.packing import ROW_LENGTHS

IGNORED = -100
"""Label of a token without loss."""
ROW_TOKENS = "row_tokens"
"""Key of how many supervised tokens each token's row has, in a batch whose loss is a mean over rows."""
IN_OBJECTIVE = "in_objective"
"""Key of whether each token's row is in the training's objective."""
OBJECTIVE_TOKENS = "objective_tokens"
"""Key of how many tokens of the global batch the objective's term is a mean over."""


@dataclass(frozen=True)
class TokenCount:
    """How much was trained on: tokens, and the sum of the squares of the rows' lengths, which attention costs."""

    tokens: int = 0
    squares: int = 0

    def __add__(self, other: TokenCount) -> TokenCount:
        """Return the sum."""
        return TokenCount(self.tokens + other.tokens, self.squares + other.squares)


@dataclass
class Collator:
    """Makes a batch of training rows and counts its tokens.

    Shorter rows are padded on the right; packed rows lie end to end instead (see :mod:`safetax.training.packing`).

    Args:
        pad: token that shorter rows are padded with.
        objective: whether the batches say which tokens are of rows that are in the training's objective.
        packed: whether rows lie end to end.
        by_row: whether the batches say what a loss that is a mean over rows needs.
        counts: the tokens of the batches that were made, oldest first; who trains on a batch takes its entry.
    """

    pad: int
    objective: bool = False
    packed: bool = False
    by_row: bool = False
    counts: deque[TokenCount] = field(default_factory=deque)

    def __call__(self, rows: Sequence[TrainingRow]) -> dict[str, Any]:
        """Return ``input_ids`` and ``labels`` of shape [batch, longest], and ``attention_mask`` of the same.

        Packed, the shape is [1, tokens], and in place of the mask there are ``position_ids``, also of it, and
        ``row_lengths``. With an objective there is ``in_objective`` besides: of each token whether its row is in it.
        By row there are ``row_tokens``: of each token how many supervised ones its row has.
        """
        self.counts.append(sum((_token_count(row) for row in rows), TokenCount()))
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
            chosen = [torch.full(tokens.shape, row.in_objective) for row, tokens in zip(rows, ids, strict=True)]
            batch[IN_OBJECTIVE] = self._joined(chosen, False)
        if self.by_row:
            counts = [(own != IGNORED).sum().expand(own.shape) for own in labels]
            batch[ROW_TOKENS] = self._joined(counts, 0)
        return batch

    def _joined(self, values: Sequence[torch.Tensor], padding: int) -> torch.Tensor:
        """Return one tensor of the rows' own: end to end, or one under the other and padded."""
        if self.packed:
            return torch.cat(list(values)).unsqueeze(0)
        return torch.nn.utils.rnn.pad_sequence(list(values), batch_first=True, padding_value=padding)


def _token_count(row: TrainingRow) -> TokenCount:
    """Return what a row adds to the count; one without loss adds nothing."""
    length = len(row.tokens)
    return TokenCount(length, length * length) if row.completion_start < length else TokenCount()


def padding_row(pad: int) -> TrainingRow:
    """Return a row without loss, which a rank is given in an optimiser step that has no row for it."""
    return TrainingRow([pad], 1)


def supervised_rows(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Count the rows with loss of a batch that was made by row; a float32 scalar."""
    return (1.0 / batch[ROW_TOKENS][batch["labels"] != IGNORED]).sum().round()


def objective_mask(batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return whether the objective's term is made of each token's prediction, shape [batch, longest - 1].

    It is where the token carries loss and its row is in the objective. Position t predicts token t + 1.
    """
    return (batch["labels"][:, 1:] != IGNORED) & batch[IN_OBJECTIVE][:, 1:]
