"""Rows whose columns are a question and, for training, an answer with or without its thinking."""

from __future__ import annotations

from dataclasses import dataclass

from safetax.data.datasets import DatasetContext, Row, text_in
from safetax.data.datasets._rows import RowsDataset, examples_of_rows, rows_needed
from safetax.records import Example


@dataclass(frozen=True, kw_only=True)
class Config(RowsDataset):
    """Which columns hold what; without an answer column the rows are a prompt set."""

    question: str = "question"
    thinking: str | None = None
    answer: str | None = "answer"


needs = rows_needed


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

    return examples_of_rows(config, context, example)
