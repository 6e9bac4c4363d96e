"""LIMO: what its columns become; the published text is held byte for byte in test_recipes."""

from __future__ import annotations

from pathlib import Path

from safetax.data.datasets import DatasetContext, limo
from tests.support.recipes import UNUSED, source


def test_a_row_becomes_question_solution_and_answer(tmp_path: Path) -> None:
    row = {"question": "1 + 1?", "solution": " One and one. ", "answer": "2"}
    config = limo.Config(kind="limo", name="limo", rows=source(tmp_path, [row, row]), limit=1, answer_prefix="Answer: ")
    (example,) = limo.build(config, DatasetContext())
    assert (example.id, example.thinking, example.answer) == ("limo-00000", "One and one.\n", "Answer: 2")


def test_it_is_as_large_as_published_where_no_limit_is_set() -> None:
    assert limo.needs(limo.Config(kind="limo", name="limo", rows=UNUSED)).rows == 817
    assert limo.needs(limo.Config(kind="limo", name="limo", rows=UNUSED, limit=3)).rows == 3
