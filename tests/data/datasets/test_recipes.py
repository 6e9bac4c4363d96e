"""The published recipes, byte for byte, from rows in a file to rendered text; and rows that they cannot use."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from safetax.data.chat import ChatRenderer
from tests.support.places import public_data
from tests.support.prepared import failure, from_file, planned, prepared, rows_file
from tests.support.recipes import PAPER, RECIPES, golden, good, markup, texts
from tests.support.tokenizers_like import deepseek_like, qwen_like

RENDERED = ("direct_refusal_published", "safechain_published", "s1k_published")

SAFE = {"instruction": "May I?", "response": "Hm.</think>No.", "label": "vanilla_harmful"}
BAD: dict[str, list[tuple[dict[str, Any], str]]] = {
    "direct_refusal": [
        ({}, "it has no column refusal (it has none; say which one it is with dataset.rows.columns.refusal=..)"),
        ({"refusal": None}, "its column refusal holds no text (but None)"),
        ({"refusal": " "}, "its column refusal is empty"),
        ({"refusal": "Why not?"}, "its refusal is not 'Question: ..', a line end and 'Answer: ..' ('Why not?')"),
        ({"refusal": "Question: Why?\nAnswer: \n"}, "its answer is empty"),
    ],
    "safechain": [
        ({**SAFE, "instruction": 7}, "its column instruction holds no text (but 7)"),
        ({**SAFE, "response": None}, "its column response holds no text (but None)"),
        ({**SAFE, "label": None}, "its column label holds no text (but None)"),
        ({**SAFE, "response": "Hm.</think>\n"}, "its answer behind </think> is empty"),
        (
            {"prompt": "May I?", "response": "Hm.</think>No.", "label": "vanilla_harmful"},
            "it has no column instruction",
        ),
    ],
    "s1k": [
        ({"question": "?", "thinking_trajectories": [1], "attempt": "a"}, "are no list of texts (but [1])"),
        ({"question": "?", "thinking_trajectories": [], "attempt": "a"}, "column thinking_trajectories is empty"),
        ({"question": "?", "attempt": "a"}, "it has no column thinking_trajectories"),
        ({"question": "?", "thinking_trajectories": ["t"], "attempt": ""}, "its column attempt is empty"),
        ({"question": "", "thinking_trajectories": ["t"], "attempt": "a"}, "its column question is empty"),
    ],
    "limo": [
        ({"question": "?", "solution": "s", "answer": 48}, "its column answer holds no text (but 48)"),
        ({"question": "?", "solution": "", "answer": "48"}, "its column solution is empty"),
    ],
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_rendered_rows_are_what_was_published(recipe: str, tmp_path: Path) -> None:
    rows = [case["row"] for case in golden(recipe)]
    examples, summary = prepared(tmp_path, *PAPER, f"dataset={recipe}", from_file(rows_file(tmp_path, rows)))
    renderer = ChatRenderer(qwen_like(), markup("s1"))
    assert [renderer.row_text(example) for example in examples] == texts(recipe)
    assert summary["examples"] == len(texts(recipe))
    for example, text in zip(examples, texts(recipe), strict=True):
        row = renderer.row(example)
        assert row.tokens == renderer.encode(text), "tokenised whole, as the paper did"
        header, written = renderer.decode(row.tokens[: row.completion_start]), row.tokens[row.completion_start :]
        assert header.endswith("<|im_start|>assistant\n")
        assert renderer.decode(written).startswith("<|im_start|>think\n")
    other = ChatRenderer(deepseek_like(), markup("s1"))
    assert [other.row_text(example) for example in examples] == texts(recipe)


@pytest.mark.parametrize("recipe", RECIPES)
def test_other_formats_take_neither_the_prefix_nor_the_white_space(recipe: str, tmp_path: Path) -> None:
    path = rows_file(tmp_path, [case["row"] for case in golden(recipe)])
    examples, _ = prepared(tmp_path, "world=paper", "format=think_tags", f"dataset={recipe}", from_file(path))
    renderer = ChatRenderer(deepseek_like(), markup("think_tags"))
    text = renderer.row_text(examples[0])
    written = text.split("<｜Assistant｜>")[1]
    thinking, _, answer = written.partition("\n</think>\n\n")
    assert thinking.removeprefix("<think>\n") == (examples[0].thinking or "").strip()
    assert not answer.startswith(("Answer:", "\n", " "))


def test_dropped_rows_are_counted_as_the_recipe_drops_them(tmp_path: Path) -> None:
    rows = [case["row"] for case in golden("safechain")]
    _, summary = prepared(tmp_path, *PAPER, "dataset=safechain", from_file(rows_file(tmp_path, rows)))
    assert summary == {"examples": 5, "dropped": {"no </think>": 1}}


def test_the_first_rows_of_a_label_are_taken_before_any_is_dropped(tmp_path: Path) -> None:
    rows = [case["row"] for case in golden("safechain")]
    path = from_file(rows_file(tmp_path, rows))
    examples, summary = prepared(tmp_path, *PAPER, "dataset=safechain", "dataset.limit=3", path)
    assert [example.id for example in examples] == ["safechain-00000", "safechain-00002"]
    assert summary["dropped"] == {"no </think>": 1}


@pytest.mark.parametrize(("recipe", "row", "reason"), [(name, *case) for name, cases in BAD.items() for case in cases])
def test_a_bad_row_is_named_by_index_and_reason(recipe: str, row: dict[str, Any], reason: str, tmp_path: Path) -> None:
    rows = [good(recipe), row, good(recipe)]
    message = failure(tmp_path, *PAPER, f"dataset={recipe}", from_file(rows_file(tmp_path, rows)))
    assert message.startswith(f"dataset {recipe}: 1 of 3 rows cannot be used:\n  row 1: ")
    assert reason in message
    assert "on_bad_row=skip" in message


@pytest.mark.parametrize("recipe", RECIPES)
def test_bad_rows_may_be_skipped_with_a_count(recipe: str, tmp_path: Path) -> None:
    bad = [row for row, _ in BAD[recipe]]
    path = from_file(rows_file(tmp_path, [*bad, good(recipe), bad[0]]))
    examples, summary = prepared(tmp_path, *PAPER, f"dataset={recipe}", "dataset.on_bad_row=skip", path)
    assert [example.id for example in examples] == [f"{recipe}-{len(bad):05d}"]
    assert sum(summary["skipped"].values()) == len(bad) + 1
    assert max(summary["skipped"].values()) == 2
    assert summary["first_skipped"][0].startswith("row 0: ")
    assert len(summary["first_skipped"]) == min(5, len(bad) + 1)


def test_many_bad_rows_are_named_shortly(tmp_path: Path) -> None:
    path = from_file(rows_file(tmp_path, [{"refusal": 1}] * 9 + [good("direct_refusal")]))
    message = failure(tmp_path, *PAPER, "dataset=direct_refusal", path)
    assert message.count("row ") == 5
    assert "9 of 10 rows" in message
    assert "and 4 more" in message


def test_nothing_left_is_an_error_even_when_skipping(tmp_path: Path) -> None:
    path = from_file(rows_file(tmp_path, [{"refusal": 1}]))
    message = failure(tmp_path, *PAPER, "dataset=direct_refusal", "dataset.on_bad_row=skip", path)
    assert "none of 1 rows can be used" in message
    assert "row 0: its column refusal holds no text" in message


def test_on_bad_row_is_identity_only_where_it_skips(tmp_path: Path) -> None:
    path = from_file(rows_file(tmp_path, [good("limo")]))
    plain = planned(*PAPER, "dataset=limo", path)
    assert "on_bad_row" not in plain.identity["dataset"]
    assert planned(*PAPER, "dataset=limo", path, "dataset.on_bad_row=error").key == plain.key
    assert planned(*PAPER, "dataset=limo", path, "dataset.on_bad_row=skip").key != plain.key


@pytest.mark.parametrize("dataset", [*RECIPES, *RENDERED])
def test_every_data_set_of_the_paper_s_world_names_its_repository(dataset: str) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    step = planned(*PAPER, f"dataset={dataset}", f"world.{dataset}.revision={commit}")
    rows = step.identity["dataset"]["rows"]
    assert (rows["kind"], rows["revision"], rows["resolved"]) == ("hub", commit, {"commit": commit})
    assert rows["id"].count("/") == 1


def test_the_lab_s_recipes_have_no_prefix() -> None:
    for dataset in ("direct_refusal", "safechain"):
        assert planned(f"dataset={dataset}").identity["dataset"]["answer_prefix"] == ""


REAL = {
    "math500.jsonl": "columns:{question:problem}",
    "star1.json": "columns:{solution:response,answer:source}",
}


@pytest.mark.parametrize("name", REAL)
def test_real_rows_are_tokenised_as_their_whole_text_is(name: str, tmp_path: Path) -> None:
    text = public_data(name).read_text(encoding="utf-8")
    path = tmp_path / name
    path.write_text(re.sub(r"</?think>", "", text), encoding="utf-8")  # marks of another format make bad rows
    examples, summary = prepared(tmp_path, *PAPER, "dataset=limo", "dataset.limit=200", from_file(path, REAL[name]))
    assert summary["examples"] == len(examples) > 0
    renderer = ChatRenderer(qwen_like(), markup("s1"))
    rendered = [renderer.row_text(example) for example in examples]
    for example, text in zip(examples, rendered, strict=True):
        row = renderer.row(example)
        assert row.tokens == renderer.encode(text)
        assert renderer.prompt(example.messages) == row.tokens[: len(renderer.prompt(example.messages))]
    published = rows_file(tmp_path, [{"text": text} for text in rendered])
    parted, _ = prepared(tmp_path, *PAPER, "dataset=s1k_published", from_file(published))
    assert [(e.messages, e.thinking, e.answer) for e in parted] == [
        (e.messages, e.thinking, e.answer) for e in examples
    ]
