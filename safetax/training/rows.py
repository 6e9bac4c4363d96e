"""Training rows: the examples of a data set, rendered and tokenised, and what becomes of one that cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    usable = usable_rows(examples, renderer, max_tokens, bad_rows or BadRows())
    if in_objective is None:
        return [row for _, row in usable]
    return [replace(row, in_objective=in_objective(example)) for example, row in usable]


def usable_rows(
    examples: Sequence[Example], renderer: ChatRenderer, max_tokens: int, bad_rows: BadRows
) -> Iterator[tuple[Example, TrainingRow]]:
    """Yield the examples of a data set that can be used, each with its training row.

    Args:
        examples: the data set.
        renderer: renders and tokenises them.
        max_tokens: longest row.
        bad_rows: takes the others.

    Raises:
        UserError: an example carries no loss or is too long; names it by index and reason. Or no row is left.
    """
    used = 0
    for index, example in enumerate(examples):
        try:
            row = renderer.row(example)
            if len(row.tokens) > max_tokens:
                raise ValueError(f"it has {len(row.tokens)} tokens, more than max_tokens={max_tokens}; raise that")
        except ValueError as error:
            remedy = "; mend it, leave the row out, or set the data set's on_bad_row=skip"
            bad_rows.add(f"Row {index} ({example.id}) of the data cannot be used: {error}", remedy)
            continue
        used += 1
        yield example, row
    if not used:
        skipped = bad_rows.messages
        why = f" All {len(skipped)} were skipped; the first: {skipped[0]}." if skipped else ""
        raise UserError(f"The data has no rows that can be used.{why}")
