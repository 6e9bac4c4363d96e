"""LIMO: few reasoning problems with carefully chosen solutions."""

from __future__ import annotations

from dataclasses import dataclass

from safetax.config.needs import Needs
from safetax.data.datasets import DatasetContext, Row, text_in
from safetax.data.datasets._rows import RowsDataset, examples_of_rows
from safetax.data.datasets.s1k import reasoning_example
from safetax.records import Example


@dataclass(frozen=True, kw_only=True)
class Config(RowsDataset):
    """The first ``limit`` rows (all when None) with ``question``, ``solution`` and ``answer``.

    ``answer_prefix`` is put before every answer; empty adds nothing.
    """

    answer_prefix: str = ""


def needs(config: Config) -> Needs:
    """Return how many rows it makes, and how long they are; as published where nothing else is set."""
    return Needs(rows=config.limit or 817, row_tokens=7000)


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Build the training examples. Raises UserError when a row lacks a text."""

    def example(index: int, row: Row) -> Example:
        solution, answer = text_in(row, "solution"), text_in(row, "answer")
        return reasoning_example(f"limo-{index:05d}", row, solution, answer, config.answer_prefix)

    return examples_of_rows(config, context, example)
