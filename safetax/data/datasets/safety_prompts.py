"""Prompt sets that measure safety: harmful requests, and benign ones that only look harmful, from published rows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from safetax.data.datasets import DatasetContext, OnBadRow, Row, text_in
from safetax.data.datasets._rows import RowsDataset, examples_of_rows, kept, rows_needed
from safetax.records import Example


@dataclass(frozen=True, kw_only=True)
class Config(RowsDataset):
    """The first ``limit`` rows that ``where`` lets through (all when None), in their order; rows may repeat."""

    harmful: bool
    """Whether the prompts ask for harm, for the judges that need to know."""
    question: str = "prompt"
    """Column with the prompt."""
    where: dict[str, Any] = field(default_factory=dict)
    """Column -> the value that a row must have, or a list of values that it may have."""
    keep: dict[str, str] = field(default_factory=dict)
    """Name in the examples' meta -> the column it is taken from, such as ``category`` or ``behavior``."""
    on_bad_row: OnBadRow = "error"


needs = rows_needed


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Return an example for each row chosen, with an id of its own.

    ``meta["prompt_key"]`` is a hash of the prompt's text: rows that repeat a prompt share it. The summary counts the
    distinct prompts.

    Raises:
        UserError: a row has no such columns or no prompt, or no row is let through.
    """

    def example(index: int, row: Row) -> Example:
        text = text_in(row, config.question)
        meta = {
            "harmful": config.harmful,
            "prompt_key": hashlib.sha256(text.encode()).hexdigest()[:16],
            **kept(row, config.keep),
        }
        return Example(f"row-{index:06d}", [{"role": "user", "content": text}], meta=meta)

    examples = examples_of_rows(config, context, example, config.where)
    context.summary["distinct_prompts"] = len({example.meta["prompt_key"] for example in examples})
    return examples
