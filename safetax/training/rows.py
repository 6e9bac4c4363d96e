"""Training rows: the examples of a data set, rendered and tokenised, and what becomes of one that cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from safetax.config.components import ObjectiveConfig
from safetax.config.identity import identity, restore
from safetax.config.messages import show
from safetax.data.chat import ChatRenderer, TrainingRow
from safetax.errors import UserError
from safetax.records import Example
from safetax.training.objectives import is_in_objective, objective_of

NAMED = 20
"""Skipped rows that a summary names; it counts all."""


@dataclass
class BadRows:
    """Rows of a data set that cannot be used: the first one is an error, or all are skipped and counted."""

    skip: bool = False
    messages: list[str] = field(default_factory=list)

    @staticmethod
    def of(settings: Mapping[str, Any]) -> BadRows:
        """Return what a step's identity wants to be done with bad rows."""
        return BadRows(settings.get("on_bad_row") == "skip")

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
            if (length := len(row.tokens)) > max_tokens:
                others = "" if bad_rows.skip else _others(examples[index:], renderer, max_tokens)
                raise ValueError(f"it has {length} tokens, more than max_tokens={max_tokens}{others}; raise that")
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


def _others(examples: Sequence[Example], renderer: ChatRenderer, max_tokens: int) -> str:
    """Return in words how many rows are too long, the first one among them, and how long the longest is."""
    lengths = []
    for example in examples:
        with suppress(ValueError):
            lengths.append(len(renderer.row(example).tokens))
    count = sum(length > max_tokens for length in lengths)
    return f" ({count} rows have more; the longest has {max(lengths)})" if count > 1 else ""


def training_rows(
    examples: Sequence[Example],
    renderer: ChatRenderer,
    max_tokens: int,
    objective: ObjectiveConfig | None,
    bad_rows: BadRows,
) -> list[TrainingRow]:
    """Return the training rows of a data set, marked where the training's objective has a term of them.

    Args:
        examples: the data set.
        renderer: renders and tokenises them.
        max_tokens: longest row.
        objective: configuration of the objective; None: there is none.
        bad_rows: takes the rows that cannot be trained on.

    Raises:
        UserError: a row cannot be trained on, none is left, or none is in the objective.
    """
    if objective is None:
        return tokenise(examples, renderer, max_tokens, bad_rows)
    rows = tokenise(examples, renderer, max_tokens, bad_rows, partial(is_in_objective, objective_of(objective)))
    if not any(row.in_objective for row in rows):
        parts = sorted({str(example.meta["mixture"]) for example in examples if "mixture" in example.meta})
        raise UserError(
            f"objective={show(identity(objective))}: it concerns none of the {len(rows)} training rows, so it would do "
            f"nothing; the rows are of {'the parts ' + ', '.join(parts) if parts else 'no mixture'}. Choose rows that "
            "are there, or set objective=null."
        )
    return rows


def check_rows(examples: Sequence[Example], renderer: ChatRenderer, use: Mapping[str, Any]) -> None:
    """Check the rows of a data set for a training, or a measurement of perplexity, that is planned on them.

    Args:
        examples: the data set.
        renderer: of the training's tokenizer and format.
        use: ``max_tokens``, ``objective`` and ``on_bad_row`` as in the step's identity; ``parts``: whether the tokens
            of thinking and answer are told apart.

    Raises:
        UserError: as of ``training_rows``.
    """
    chosen = use.get("objective")
    objective = None if chosen is None else restore("objectives", chosen)
    training_rows(examples, renderer, use["max_tokens"], objective, BadRows.of(use))
    if use.get("parts"):
        with suppress(ValueError):  # a row that is skipped
            renderer.parts(examples[0], renderer.row(examples[0]))
