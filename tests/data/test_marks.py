"""Marks of thinking in rows: taken off at the ends, else a bad row; for every data set and every format's marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safetax.data.marks import flaw_in, mark_in, without_marks
from safetax.records import Example
from tests.support.prepared import failure, from_file, prepared, rows_file

PAIRS = [
    ("<think>", "</think>"),
    ("<THINK>", "</Think>"),
    ("< think >", "< / think >"),
    ("<think >", "</ think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<thinking>", "</thinking>"),
    ("[THINK]", "[/THINK]"),
    ("<|im_start|>think", "<|im_start|>answer"),
    ("<|im_start|> Think", "<| im_start |> answer"),
]
CLEAN = ["2 < 3 and 4 > 1", "a[i] <b> think hard", "I think. [1] <br/>", "thinking", "List<Think>s"[:4], ""]


@pytest.mark.parametrize(("opening", "end"), PAIRS)
def test_marks_at_the_ends_are_taken_off(opening: str, end: str) -> None:
    row = Example("a", [], f"\n{opening}\nHm, so it is.\n{end}\n", f"{end}\n\nNo.")
    made = without_marks(row)
    assert (made.thinking, made.answer) == ("\nHm, so it is.\n", "No.")
    assert without_marks(made) == made


@pytest.mark.parametrize(("opening", "end"), PAIRS)
@pytest.mark.parametrize("part", ["thinking", "answer"])
def test_marks_elsewhere_are_a_bad_row(opening: str, end: str, part: str) -> None:
    for mark in (opening, end):
        texts = {"thinking": "Hm.", "answer": "No.", part: f"so {mark} it is"}
        with pytest.raises(ValueError, match=f"its {part} holds"):
            without_marks(Example("a", [], texts["thinking"], texts["answer"]))


@pytest.mark.parametrize("text", CLEAN)
def test_other_texts_hold_none(text: str) -> None:
    assert mark_in(text) is None
    example = Example("a", [], text, text)
    assert without_marks(example) == example


def test_what_is_nothing_but_marks_is_a_bad_row() -> None:
    with pytest.raises(ValueError, match="nothing but a mark"):
        without_marks(Example("a", [], "<think>\n</think>", "No."))
    with pytest.raises(ValueError, match="nothing but a mark"):
        without_marks(Example("a", [], "Hm.", "</think>"))


def test_an_answer_that_holds_its_own_thinking_is_a_bad_row() -> None:
    with pytest.raises(ValueError, match="its answer holds <think>"):
        without_marks(Example("a", [], None, "<think>Hm.</think>No."))


def rows(mark: str) -> dict[str, list[dict[str, Any]]]:
    trace = f"Hm. {mark} So."
    return {
        "limo": [{"question": "?", "solution": trace, "answer": "1"}],
        "s1k": [{"question": "?", "thinking_trajectories": [trace], "attempt": "1"}],
        "direct_refusal": [{"refusal": f"Question: ?\nAnswer: No {mark} so."}],
        "safechain": [{"instruction": "?", "response": f"{trace}</think>No.", "label": "vanilla_harmful"}],
        "star1": [{"question": "?", "response": f"<think>{trace}</think>No.", "category": "c"}],
    }


@pytest.mark.parametrize("dataset", ["limo", "s1k", "direct_refusal", "safechain", "star1"])
@pytest.mark.parametrize("mark", ["<think>", "<|im_start|>answer", "< /THINKING >"])
def test_every_data_set_is_checked(tmp_path: Path, dataset: str, mark: str) -> None:
    bad, good = rows(mark)[dataset], rows("")[dataset]
    path = rows_file(tmp_path, good + bad)
    settings = ["world=paper", "format=s1", f"dataset={dataset}", from_file(path)]
    told = failure(tmp_path / "o", *settings)
    assert "1 of 2 rows cannot be used" in told and "row 1:" in told, told
    examples, summary = prepared(tmp_path / "p", *settings, "dataset.on_bad_row=skip")
    assert len(examples) == 1 and sum(summary["skipped"].values()) == 1


def test_published_traces_that_begin_with_a_mark_are_used(tmp_path: Path) -> None:
    row = {"instruction": "?", "response": "<think>\nHm, no.\n</think>\n\nNo.", "label": "vanilla_harmful"}
    settings = ["world=paper", "format=s1", "dataset=safechain", from_file(rows_file(tmp_path, [row]))]
    ((example,), _) = prepared(tmp_path / "o", *settings)
    assert example.thinking == "\nHm, no.\n"


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b", "so </think> then", "so <|pad|> then", "<｜end▁of▁sentence｜>"])
def test_what_no_row_may_hold_is_a_flaw_of_a_sample(text: str) -> None:
    assert flaw_in("fine", text) is not None and flaw_in(text, None) is not None
    assert flaw_in("x < y | z > w", "a <b> c", None, "") is None
