"""Rows whose columns are a question and, for training, an answer with or without its thinking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from safetax.config.fields import AtLeast, Kind, Label
from safetax.errors import UserError
from safetax.records import Example
from safetax.rows import load_rows


@dataclass(frozen=True)
class Config:
    """Which columns hold what; without an answer column the rows are a prompt set."""

    kind: str
    name: Annotated[str, Label()]
    rows: Annotated[Any, Kind("rows")]
    question: str = "question"
    thinking: str | None = None
    answer: str | None = "answer"
    limit: Annotated[int, AtLeast(1)] | None = None


def build(config: Config, inputs: Mapping[str, Path]) -> list[Example]:
    """Return an example for each row; the row's other columns go to ``meta``.

    Raises:
        UserError: a row lacks a column or has no text in it; names it by index.
    """
    columns = {"question": config.question, "thinking": config.thinking, "answer": config.answer}
    examples = []
    for index, row in enumerate(load_rows(config.rows)[: config.limit]):
        texts = {}
        for part, column in columns.items():
            if column is None:
                continue
            if column not in row:
                raise UserError(f"Row {index} has no column {column}; it has {', '.join(map(str, row))}.")
            if not isinstance(row[column], str) or not row[column].strip():
                raise UserError(f"Row {index} has no text in its column {column}: {row[column]!r}.")
            texts[part] = row[column]
        meta = {str(key): value for key, value in row.items() if key not in columns.values()}
        messages = [{"role": "user", "content": texts["question"]}]
        examples.append(Example(f"row-{index}", messages, texts.get("thinking"), texts.get("answer"), meta))
    return examples
