"""Rows whose columns are a question and, for training, an answer with or without its thinking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safetax.data.datasets import DatasetContext, table
from safetax.errors import UserError
from safetax.records import Example
from tests.support.recipes import source

ROW = {"question": "May I?", "answer": "No.", "thought": "Hm.", "sort": 3}


def built(folder: Path, rows: list[dict[str, Any]], **settings: Any) -> list[Example]:
    return table.build(table.Config(kind="table", name="set", rows=source(folder, rows), **settings), DatasetContext())


def test_columns_are_the_parts_of_an_example_and_the_others_its_meta(tmp_path: Path) -> None:
    (example,) = built(tmp_path, [ROW], thinking="thought")
    assert (example.messages[0]["content"], example.thinking, example.answer) == ("May I?", "Hm.", "No.")
    assert example.meta == {"sort": 3}


def test_without_an_answer_column_the_rows_are_prompts(tmp_path: Path) -> None:
    (example,) = built(tmp_path, [ROW, ROW], answer=None, question="thought", limit=1)
    assert (example.messages[0]["content"], example.thinking, example.answer) == ("Hm.", None, None)


def test_a_row_without_its_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"row 1: its column answer holds no text \(but None\)"):
        built(tmp_path, [ROW, {**ROW, "answer": None}])
