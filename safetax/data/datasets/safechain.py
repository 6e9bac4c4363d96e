"""SafeChain: harmful questions with a reasoning model's safety trace and its refusal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from safetax.config.fields import HashedUnless
from safetax.config.needs import Needs
from safetax.data.datasets import BadRowError, DatasetContext, Row, examples_of, text_in
from safetax.data.datasets._rows import RowsDataset, kept
from safetax.data.datasets.direct_refusal import prefixed_answer
from safetax.data.sources import load_rows
from safetax.errors import UserError
from safetax.records import Example

END_OF_THINKING = "</think>"


@dataclass(frozen=True, kw_only=True)
class Config(RowsDataset):
    """Rows with ``instruction``, ``response`` and ``label``: the first ``limit`` of a label, all of them when None.

    Rows whose response has no ``</think>`` are dropped afterwards, so fewer than ``limit`` may remain.
    """

    label: str = "vanilla_harmful"
    answer_prefix: str = ""
    keep: Annotated[dict[str, str] | None, HashedUnless(None)] = None
    """Name in the examples' meta -> the column it is taken from, such as ``category``."""


def needs(config: Config) -> Needs:
    """Return how many rows it makes, and how long they are; as published where nothing else is set."""
    return Needs(rows=config.limit or 1000, row_tokens=900)


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Build the training examples; the summary counts the rows that the recipe drops.

    Raises:
        UserError: a row lacks a text, or no row has the label and the end of the thinking.
    """

    def example(index: int, row: Row) -> Example:
        text_in(row, "label")
        thinking, answer = text_in(row, "response").split(END_OF_THINKING)[:2]  # a second end cuts the answer
        if not answer.strip():
            raise BadRowError(f"its answer behind {END_OF_THINKING} is empty")
        return Example(
            id=f"safechain-{index:05d}",
            messages=[{"role": "user", "content": text_in(row, "instruction")}],
            thinking=f"\n{thinking.strip()}\n",
            answer=prefixed_answer(answer, config.answer_prefix),
            meta=kept(row, config.keep),
        )

    rows = load_rows(config.rows)
    # Rows without a label or a response of text stay in: they are bad, and not of another label or without an end.
    chosen = [(index, row) for index, row in enumerate(rows) if _text_or(row, "label", config.label) == config.label]
    chosen = chosen[: config.limit]
    closed = [entry for entry in chosen if END_OF_THINKING in _text_or(entry[1], "response", END_OF_THINKING)]
    if not closed:
        raise UserError(
            f"dataset {config.name}: none of {len(rows)} rows has label {config.label!r} and {END_OF_THINKING} "
            "in its response"
        )
    if len(closed) < len(chosen):
        context.summary["dropped"] = {f"no {END_OF_THINKING}": len(chosen) - len(closed)}
    return examples_of(closed, example, config, context)


def _text_or(row: Row, column: str, otherwise: str) -> str:
    value = row.get(column)
    return value if isinstance(value, str) else otherwise
