"""Rows whose columns are a question and, for training, an answer with or without its thinking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from safetax.config.components import RowsConfig
from safetax.config.fields import AtLeast, HashedUnless, Kind, Label
from safetax.config.needs import Needs
from safetax.data.datasets import DatasetContext, OnBadRow, Row, examples_of, text_in
from safetax.data.sources import load_rows
from safetax.records import Example


@dataclass(frozen=True)
class Config:
    """Which columns hold what; without an answer column the rows are a prompt set."""

    kind: str
    name: Annotated[str, Label()]
    rows: Annotated[RowsConfig, Kind("rows")]
    question: str = "question"
    thinking: str | None = None
    answer: str | None = "answer"
    limit: Annotated[int, AtLeast(1)] | None = None
    on_bad_row: Annotated[OnBadRow, HashedUnless("error")] = "error"


def needs(config: Config) -> Needs:
    """Return how many rows it makes."""
    return Needs(rows=config.limit)


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Return an example for each row; the row's other columns go to ``meta``.

    Raises:
        UserError: a row lacks a column or has no text in it.
    """
    columns = {"question": config.question, "thinking": config.thinking, "answer": config.answer}

    def example(index: int, row: Row) -> Example:
        texts = {part: text_in(row, column) for part, column in columns.items() if column is not None}
        meta = {str(key): value for key, value in row.items() if key not in columns.values()}
        messages = [{"role": "user", "content": texts["question"]}]
        return Example(f"row-{index}", messages, texts.get("thinking"), texts.get("answer"), meta)

    rows = load_rows(config.rows)[: config.limit]
    return examples_of(enumerate(rows), example, config, context)
