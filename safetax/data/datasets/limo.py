"""LIMO: few reasoning problems with carefully chosen solutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from safetax.config.components import RowsConfig
from safetax.config.fields import AtLeast, HashedUnless, Kind, Label
from safetax.config.needs import Needs
from safetax.data.datasets import DatasetContext, OnBadRow, Row, examples_of, text_in
from safetax.data.datasets.s1k import reasoning_example
from safetax.data.sources import load_rows
from safetax.records import Example


@dataclass(frozen=True)
class Config:
    """The first ``limit`` rows (all when None) with ``question``, ``solution`` and ``answer``.

    ``answer_prefix`` is put before every answer; empty adds nothing.
    """

    kind: str
    name: Annotated[str, Label()]
    rows: Annotated[RowsConfig, Kind("rows")]
    limit: Annotated[int, AtLeast(1)] | None = None
    answer_prefix: str = ""
    on_bad_row: Annotated[OnBadRow, HashedUnless("error")] = "error"


def needs(config: Config) -> Needs:
    """Return how many rows it makes, and how long they are; as published where nothing else is set."""
    return Needs(rows=config.limit or 817, row_tokens=7000)


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Build the training examples. Raises UserError when a row lacks a text."""

    def example(index: int, row: Row) -> Example:
        solution, answer = text_in(row, "solution"), text_in(row, "answer")
        return reasoning_example(f"limo-{index:05d}", row, solution, answer, config.answer_prefix)

    rows = load_rows(config.rows)[: config.limit]
    return examples_of(enumerate(rows), example, config, context)
