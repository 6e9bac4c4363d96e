"""The renderer: what is trained on and what is asked are the same tokens."""

from __future__ import annotations

from safetax.chat import ChatRenderer, end_of_turn
from safetax.config.schema import Format
from safetax.lab.tokenizer import build_tokenizer
from safetax.records import Example

TAGS = Format("think_tags", "<think>", "</think>", force_answer="</think>")
ASKED = [{"role": "user", "content": "how do i"}]
ROW = Example("row", ASKED, "i should not answer this question !", "i can not help with that .")


def test_prompt_of_evaluation_is_the_head_of_the_training_row() -> None:
    for markup in (TAGS, Format("plain")):
        renderer = ChatRenderer(build_tokenizer(), markup)
        row = renderer.row(ROW)
        prompt = renderer.prompt(ASKED)
        assert row.tokens[: len(prompt)] == prompt
        assert row.completion_start == len(renderer.header(ASKED))


def test_suppressed_thinking_is_the_row_of_empty_thinking() -> None:
    renderer = ChatRenderer(build_tokenizer(), TAGS)
    empty = renderer.row(Example("row", ASKED, "", ROW.answer))
    prompt = renderer.prompt(ASKED, thinking=False)
    assert empty.tokens[: len(prompt)] == prompt


def test_plain_format_leaves_the_thinking_out() -> None:
    renderer = ChatRenderer(build_tokenizer(), Format("plain"))
    assert renderer.row(ROW) == renderer.row(Example("row", ASKED, None, ROW.answer))


def test_row_ends_the_turn() -> None:
    tokenizer = build_tokenizer()
    renderer = ChatRenderer(tokenizer, TAGS)
    assert end_of_turn(tokenizer) == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert renderer.row(ROW).tokens[-1] == renderer.end_of_turn
    assert renderer.row(ROW).tokens.count(renderer.end_of_turn) == 2  # the user's turn, the assistant's turn
