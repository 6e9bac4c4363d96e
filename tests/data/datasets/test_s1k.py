"""s1K: what its columns become; the published text is held byte for byte in test_recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safetax.data.datasets import BadRowError, DatasetContext, s1k
from tests.support.recipes import UNUSED, source

ROW = {"question": " May I? ", "thinking_trajectories": ["One.", "Two."], "attempt": "\nYes. "}


def test_a_row_becomes_question_trace_and_answer(tmp_path: Path) -> None:
    config = s1k.Config(kind="s1k", name="s1k", rows=source(tmp_path, [ROW]), answer_prefix="Answer: ")
    (example,) = s1k.build(config, DatasetContext())
    assert example.messages == [{"role": "user", "content": " May I? "}]
    assert (example.id, example.thinking, example.answer) == ("s1k-00000", "One.\nTwo.\n", "Answer: \nYes.")


def test_a_trace_may_be_one_text() -> None:
    assert s1k.trace_in({"thinking_trajectories": "One."}) == "One."


@pytest.mark.parametrize(
    ("value", "reason"),
    [([1], "are no list of texts"), (7, "are no list of texts"), ([], "is empty"), (" ", "is empty")],
)
def test_what_is_no_trace(value: Any, reason: str) -> None:
    with pytest.raises(BadRowError, match=reason):
        s1k.trace_in({"thinking_trajectories": value})


def test_it_is_as_large_as_published_where_no_limit_is_set() -> None:
    needs = s1k.needs(s1k.Config(kind="s1k", name="s1k", rows=UNUSED))
    assert (needs.rows, needs.row_tokens) == (1000, 5000)
