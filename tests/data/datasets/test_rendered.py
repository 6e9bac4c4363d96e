"""Rows that are rendered already: parted, and rendered again to the very same text."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetax.data.chat import ChatRenderer
from safetax.data.datasets import rendered
from safetax.errors import ConfigError
from tests.support.prepared import failure, from_file, planned, prepared, rows_file
from tests.support.recipes import PAPER, RECIPES, UNUSED, golden, markup, texts


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_is_published_rendered_is_parted_and_rendered_again(recipe: str, tmp_path: Path) -> None:
    wanted = texts(recipe)
    path = from_file(rows_file(tmp_path, [{"text": text} for text in wanted]))
    examples, _ = prepared(tmp_path, *PAPER, "dataset=s1k_published", path)
    assert [ChatRenderer(None, markup("s1")).row_text(example) for example in examples] == wanted
    rows = [case["row"] for case in golden(recipe)]
    own, _ = prepared(tmp_path, *PAPER, f"dataset={recipe}", from_file(rows_file(tmp_path, rows, "raw.jsonl")))
    assert [(e.messages, e.thinking, e.answer) for e in examples] == [(e.messages, e.thinking, e.answer) for e in own]


def test_rendered_rows_keep_a_system_message_of_their_own(tmp_path: Path) -> None:
    text = texts("limo")[0].replace("You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", "Be brief.")
    path = from_file(rows_file(tmp_path, [{"text": text}]))
    (example,), _ = prepared(tmp_path, *PAPER, "dataset=s1k_published", path)
    assert example.messages[0] == {"role": "system", "content": "Be brief."}
    assert ChatRenderer(None, markup("s1")).row_text(example) == text


@pytest.mark.parametrize(
    ("was", "now", "reason"),
    [
        ("<|im_start|>assistant\n", "", "its text has no turn of the assistant"),
        ("<|im_start|>user\n", "<|im_start|>tool\n", "its text has no turn of the user before the assistant's"),
        ("<|im_start|>think\n", "<think>\n", r"its thinking does not begin with '<|im_start|>think\n'"),
        ("<|im_start|>answer\n", "<|im_start|>answer ", r"its thinking is not closed by '<|im_start|>answer\n'"),
        ("48<|im_end|>\n", "48<|im_end|>", r"its text does not end in '<|im_end|>\n'"),
        ("Answer: 48", " ", "its answer is empty"),
        ("<|im_start|>system\n", "x<|im_start|>system\n", "its text is not what its parts are rendered to"),
        ("<|im_start|>user\n", "\n<|im_start|>user\n", "its text is not what its parts are rendered to"),
        ("assistant.<|im_end|>\n", "assistant.<|im_end|>", "its text has no turn of the user before the assistant's"),
    ],
)
def test_text_that_is_not_exactly_rendered_is_a_bad_row(was: str, now: str, reason: str, tmp_path: Path) -> None:
    good_text = texts("limo")[0]
    assert good_text.count(was) == 1
    path = from_file(rows_file(tmp_path, [{"text": good_text}, {"text": good_text.replace(was, now)}]))
    message = failure(tmp_path, *PAPER, "dataset=s1k_published", path)
    assert f"row 1: {reason}" in message


def test_rendered_text_is_read_in_chatml_alone() -> None:
    with pytest.raises(ConfigError, match=r"template=own.*format@dataset\.format=s1"):
        planned(*PAPER, "dataset=s1k_published", "format@dataset.format=think_tags")


def test_the_parts_of_a_text_and_how_many_rows_there_are() -> None:
    messages, thinking, answer = rendered.parts_of(texts("limo")[0], markup("s1"))
    assert [message["role"] for message in messages] == ["user"], "the format's own system message is left out"
    assert thinking.endswith("\n") and answer.startswith("Answer: ")
    config = rendered.Config(kind="rendered", name="set", rows=UNUSED, format=markup("s1"))
    assert rendered.needs(config).rows == 1000
