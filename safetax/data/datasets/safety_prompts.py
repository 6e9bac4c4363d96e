"""Prompt sets that measure safety: harmful requests, and benign ones that only look harmful, from published rows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Annotated, Any

from safetax.config.components import RowsConfig
from safetax.config.fields import AtLeast, Kind, Label
from safetax.config.needs import Needs
from safetax.data.datasets import DatasetContext, OnBadRow, Row, examples_of, text_in, value_in
from safetax.data.datasets._chosen import chosen
from safetax.data.sources import load_rows
from safetax.records import Example


@dataclass(frozen=True)
class Config:
    """The first ``limit`` rows that ``where`` lets through (all when None), in their order; rows may repeat."""

    kind: str
    name: Annotated[str, Label()]
    rows: Annotated[RowsConfig, Kind("rows")]
    harmful: bool
    """Whether the prompts ask for harm, for the judges that need to know."""
    question: str = "prompt"
    """Column with the prompt."""
    where: dict[str, Any] = field(default_factory=dict)
    """Column -> the value that a row must have, or a list of values that it may have."""
    keep: dict[str, str] = field(default_factory=dict)
    """Name in the examples' meta -> the column it is taken from, such as ``category`` or ``behavior``."""
    limit: Annotated[int, AtLeast(1)] | None = None
    on_bad_row: OnBadRow = "error"


def needs(config: Config) -> Needs:
    """Return how many rows it makes."""
    return Needs(rows=config.limit)


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
            **{name: value_in(row, column) for name, column in config.keep.items()},
        }
        return Example(f"row-{index:06d}", [{"role": "user", "content": text}], meta=meta)

    rows = chosen(config.name, load_rows(config.rows), config.where, config.limit)
    examples = examples_of(rows, example, config, context)
    context.summary["distinct_prompts"] = len({example.meta["prompt_key"] for example in examples})
    return examples
