"""Training rows: the examples of a data set, rendered and tokenised, and what becomes of one that cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from safetax.data.chat import ChatRenderer, TrainingRow
from safetax.errors import UserError
from safetax.records import Example

NAMED = 20
"""Skipped rows that a summary names; it counts all."""


@dataclass
class BadRows:
    """Rows of a data set that cannot be used: the first one is an error, or all are skipped and counted."""

    skip: bool = False
    messages: list[str] = field(default_factory=list)

    @staticmethod
    def of(identity: Mapping[str, Any]) -> BadRows:
        """Return what a step's identity wants to be done with bad rows."""
        return BadRows(identity.get("on_bad_row") == "skip")

    def add(self, message: str, remedy: str = "") -> None:
        """Skip a row.

        Args:
            message: names the row by index and id, and says why it cannot be used.
            remedy: what the user can do.

        Raises:
            UserError: rows are not to be skipped.
        """
        if not self.skip:
            raise UserError(f"{message}{remedy}.")
        self.messages.append(message)

    def summary(self) -> dict[str, Any]:
        """Return the number of skipped rows and the first of them, for the step's summary; empty if none may be."""
        return {"skipped": len(self.messages), "skipped_rows": self.messages[:NAMED]} if self.skip else {}


def tokenise(
    examples: Sequence[Example],
    renderer: ChatRenderer,
    max_tokens: int,
    bad_rows: BadRows | None = None,
    in_objective: Callable[[Example], bool] | None = None,
) -> list[TrainingRow]:
    """Return the training rows of a data set.

    Args:
        examples: the data set.
        renderer: renders and tokenises them.
        max_tokens: longest row.
        bad_rows: takes the rows that cannot be trained on; None: the first of them is an error.
        in_objective: whether an example is in the training's objective; None: there is no objective.

    Raises:
        UserError: an example carries no loss or is too long; names it by index and reason. Or no row is left.
    """
    bad_rows = bad_rows or BadRows()
    rows = []
    for index, example in enumerate(examples):
        name = f"Row {index} ({example.id}) of the data"
        try:
            row = renderer.row(example)
        except ValueError as error:
            bad_rows.add(f"{name} cannot be trained on: {error}")
            continue
        if len(row.tokens) > max_tokens:
            bad_rows.add(
                f"{name} has {len(row.tokens)} tokens, more than max_tokens={max_tokens}",
                "; raise it, leave the row out, or set the data set's on_bad_row=skip",
            )
            continue
        rows.append(row if in_objective is None else replace(row, in_objective=in_objective(example)))
    if not rows:
        skipped = bad_rows.messages
        why = f" All {len(skipped)} were skipped; the first: {skipped[0]}." if skipped else ""
        raise UserError(f"The data has no rows, so there is nothing to train on.{why}")
    return rows
