"""The renderer: what is trained on and what is asked are the same tokens, whatever the tokenizer's family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from safetax.config.build import build
from safetax.config.hydra import conf_directory
from safetax.config.schema import Format
from safetax.data.chat import ChatRenderer
from safetax.data.lab.tokenizer import build_tokenizer
from safetax.errors import UserError
from safetax.records import Example
from tests.support.tokenizers_like import QWEN_SYSTEM, deepseek_like, llama_like, qwen_like

ASKED = [{"role": "user", "content": " How many rolls fit on the tray?\n"}]
ROW = Example("row", ASKED, "\nFirst, 4 rows of 12 rolls.\n", "Answer: \n\n48 rolls, I think!")
REFUSAL = Example("row", ASKED, " I should not answer this question!", "Answer: I cannot help.")
LAB_ASKED = [{"role": "user", "content": "how do i"}]
LAB_ROW = Example("row", LAB_ASKED, "i should not answer this question !", "i can not help with that .")


def markup(name: str) -> Format:
    return build(Format, yaml.safe_load((conf_directory() / "format" / f"{name}.yaml").read_text()))


LIKE: dict[str, Callable[[], Any]] = {"qwen": qwen_like, "deepseek": deepseek_like, "llama": llama_like}
TOKENIZERS = {name: make() for name, make in LIKE.items()}
FORMATS = ("s1", "think_tags", "plain")
COMBINATIONS = [(family, name) for family in TOKENIZERS for name in FORMATS]


def renderer(family: str, name: str) -> ChatRenderer:
    return ChatRenderer(TOKENIZERS[family], markup(name))


@pytest.mark.parametrize(("family", "name"), COMBINATIONS)
@pytest.mark.parametrize("example", [ROW, REFUSAL])
def test_prompt_of_evaluation_is_the_head_of_the_training_row(family: str, name: str, example: Example) -> None:
    here = renderer(family, name)
    row, prompt = here.row(example), here.prompt(example.messages)
    assert row.tokens[: len(prompt)] == prompt
    opening = here.encode(here.markup.open_thinking)
    assert row.completion_start == len(prompt) - len(opening)
    assert here.decode(row.tokens).removeprefix(TOKENIZERS[family].bos_token or "") == here.row_text(
        example
    ).removeprefix(TOKENIZERS[family].bos_token or "")


@pytest.mark.parametrize(("family", "name"), COMBINATIONS)
def test_suppressed_thinking_is_the_head_of_a_row_of_empty_thinking(family: str, name: str) -> None:
    here = renderer(family, name)
    prompt = here.prompt(ASKED, thinking=False)
    assert here.row(Example("row", ASKED, "", "Answer: 48")).tokens[: len(prompt)] == prompt


@pytest.mark.parametrize(("family", "name"), COMBINATIONS)
@pytest.mark.parametrize("assistant_header", [True, False])
def test_there_is_one_bos_where_the_tokenizer_has_one(family: str, name: str, assistant_header: bool) -> None:
    here = renderer(family, name)
    bos = here.tokenizer.bos_token_id
    for tokens in (here.prompt(ASKED, assistant_header=assistant_header), here.row(ROW).tokens):
        assert tokens.count(bos) == (0 if family == "qwen" else 1)
        assert family == "qwen" or tokens[0] == bos


def test_a_tokenizer_that_adds_bos_by_itself_would_double_it() -> None:
    """The trap is there: this is what the renderer avoids."""
    for family in ("deepseek", "llama"):
        tokenizer = TOKENIZERS[family]
        text = tokenizer.apply_chat_template(ASKED, tokenize=False, add_generation_prompt=True)
        assert tokenizer(text).input_ids[:2] == [tokenizer.bos_token_id] * 2


@pytest.mark.parametrize("family", TOKENIZERS)
def test_thinking_is_opened_and_closed_once(family: str) -> None:
    """Also where the template opens it in prompts, and strips it from what the assistant wrote."""
    here = renderer(family, "think_tags")
    text = here.row_text(ROW)
    assert text.count("<think>") == text.count("</think>") == 1
    assert here.decode(here.prompt(ASKED)).count("<think>") == 1
    assert here.decode(here.prompt(ASKED)).endswith("<think>\n")
    assert "<think>\nFirst, 4 rows of 12 rolls.\n</think>\n\nAnswer: \n\n48 rolls, I think!" in text


def test_rows_end_as_the_template_ends_a_turn() -> None:
    expected = {"qwen": "<|im_end|>\n", "deepseek": "<｜end▁of▁sentence｜>", "llama": "<|eot_id|>"}
    for family, end in expected.items():
        assert renderer(family, "think_tags").row_text(ROW).endswith("48 rolls, I think!" + end)
        assert renderer(family, "s1").row_text(ROW).endswith("48 rolls, I think!<|im_end|>\n")


def test_own_templates_write_what_they_write() -> None:
    assert renderer("qwen", "think_tags").prompt_text(ASKED) == (
        f"<|im_start|>system\n{QWEN_SYSTEM}<|im_end|>\n"
        "<|im_start|>user\n How many rolls fit on the tray?\n<|im_end|>\n<|im_start|>assistant\n"
    )
    assert renderer("deepseek", "think_tags").prompt_text(ASKED) == (
        "<｜begin▁of▁sentence｜><｜User｜> How many rolls fit on the tray?\n<｜Assistant｜>"
    )
    assert renderer("llama", "think_tags").prompt_text(ASKED) == (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHow many rolls fit on the tray?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_s1_is_the_same_text_for_every_family() -> None:
    texts = {renderer(family, "s1").row_text(ROW) for family in TOKENIZERS}
    assert texts == {
        f"<|im_start|>system\n{QWEN_SYSTEM}<|im_end|>\n"
        "<|im_start|>user\n How many rolls fit on the tray?\n<|im_end|>\n"
        "<|im_start|>assistant\n<|im_start|>think\n\nFirst, 4 rows of 12 rolls.\n<|im_start|>answer\n"
        "Answer: \n\n48 rolls, I think!<|im_end|>\n"
    }


def test_s1_writes_chatml_as_the_family_that_it_comes_from() -> None:
    tokenizer = TOKENIZERS["qwen"]
    turns = [*ASKED, {"role": "assistant", "content": "Fine."}, {"role": "user", "content": "And now?"}]
    for messages in (ASKED, turns, [{"role": "system", "content": "Be brief."}, *turns]):
        for header in (True, False):
            own = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=header)
            assert renderer("qwen", "s1").prompt_text(messages, header) == own


@pytest.mark.parametrize("example", [ROW, REFUSAL, Example("row", ASKED, "48!\n", "Answer: 48\n\nrolls")])
def test_parts_are_tokenised_as_the_whole_text_is(example: Example) -> None:
    """What the paper trained on was tokenised whole; tokens of the family's own markers part it in the same places."""
    here = renderer("qwen", "s1")
    assert here.row(example).tokens == here.encode(here.row_text(example))


def test_markers_of_another_family_are_several_tokens() -> None:
    here = renderer("deepseek", "s1")
    assert len(here.encode("<|im_start|>")) > 3
    assert len(renderer("qwen", "s1").encode("<|im_start|>")) == 1


def test_what_ends_a_response() -> None:
    def ends(family: str, name: str) -> list[str]:
        here = renderer(family, name)
        return [here.decode(end) for end in here.ends]

    for name in FORMATS:
        assert ends("qwen", name) == ["<|im_end|>"]
    for name in ("think_tags", "plain"):
        assert ends("deepseek", name) == ["<｜end▁of▁sentence｜>"]
        assert ends("llama", name) == ["<|eot_id|>", "<|end_of_text|>"]
    assert ends("deepseek", "s1") == ["<|im_end|>", "<｜end▁of▁sentence｜>"]
    assert ends("llama", "s1") == ["<|im_end|>", "<|end_of_text|>"]
    assert len(renderer("deepseek", "s1").ends[0]) > 1
    assert len(renderer("llama", "think_tags").ends[0]) == 1


def test_white_space_stays_in_s1_and_goes_elsewhere() -> None:
    example = Example("row", ASKED, "\n think \n", " answer\n")
    s1 = renderer("qwen", "s1").completion_text(example.thinking, example.answer or "")
    assert s1 == "<|im_start|>think\n\n think \n<|im_start|>answer\n answer\n"
    tags = renderer("qwen", "think_tags").completion_text(example.thinking, example.answer or "")
    assert tags == "<think>\nthink\n</think>\n\nanswer"
    assert renderer("qwen", "plain").completion_text(example.thinking, example.answer or "") == "answer"


def test_the_paper_s_safety_prompt_lacks_the_header() -> None:
    here = renderer("qwen", "s1")
    text = here.decode(here.prompt(ASKED, assistant_header=False))
    assert text.endswith(" How many rolls fit on the tray?\n<|im_end|>\n<|im_start|>think")


def test_a_tokenizer_without_template_is_named() -> None:
    tokenizer = qwen_like()
    tokenizer.chat_template = None
    with pytest.raises(UserError, match=r"has no chat template.*format=s1"):
        ChatRenderer(tokenizer, markup("think_tags"))
    assert ChatRenderer(tokenizer, markup("s1")).row(ROW)


def test_a_row_without_anything_to_learn_is_refused() -> None:
    with pytest.raises(ValueError, match="answer is empty"):
        renderer("qwen", "s1").row(Example("row", ASKED, None, " \n"))


@pytest.mark.parametrize("name", ["think_tags", "plain"])
def test_the_lab_s_tokenizer(name: str) -> None:
    here = ChatRenderer(build_tokenizer(), markup(name))
    row, prompt = here.row(LAB_ROW), here.prompt(LAB_ASKED)
    assert row.tokens[: len(prompt)] == prompt
    end = here.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert here.ends == [[end]]
    assert row.tokens[-1] == end
    assert row.tokens.count(end) == 2  # the user's turn, the assistant's turn
    suppressed = here.prompt(LAB_ASKED, thinking=False)
    assert here.row(Example("row", LAB_ASKED, "", LAB_ROW.answer)).tokens[: len(suppressed)] == suppressed
    if name == "plain":
        assert row == here.row(Example("row", LAB_ASKED, None, LAB_ROW.answer))


def test_a_word_that_a_tokenizer_lacks_is_named() -> None:
    with pytest.raises(ValueError, match="cannot encode it"):
        ChatRenderer(build_tokenizer(), markup("plain")).row(Example("row", LAB_ASKED, None, "zebra"))


PRIMER = "First, we look at the question."
PRIMED = Example("primed", ASKED, PRIMER, supervised="thinking_start")


def parted(here: ChatRenderer, example: Example) -> tuple[str, str]:
    """What of a row carries no loss, and what carries loss."""
    row = here.row(example)
    return here.decode(row.tokens[: row.completion_start]), here.decode(row.tokens[row.completion_start :])


@pytest.mark.parametrize(("family", "name"), [entry for entry in COMBINATIONS if entry[1] != "plain"])
def test_loss_on_the_start_of_the_thinking_alone(family: str, name: str) -> None:
    """The prompt opens the thinking; behind the primer there is no closing, no answer and no end of the turn."""
    here = renderer(family, name)
    row = here.row(PRIMED)
    assert row.tokens[: row.completion_start] == here.prompt(ASKED)
    assert parted(here, PRIMED)[1] == here.markup.before_thinking + PRIMER
    # The last token may be another where text follows: a full stop and a line end are one token of these families.
    assert row.tokens[:-1] == here.row(Example("row", ASKED, PRIMER, "48")).tokens[: len(row.tokens) - 1]
    bos = here.tokenizer.bos_token or ""
    assert here.decode(row.tokens).removeprefix(bos) == here.row_text(PRIMED).removeprefix(bos)


def test_loss_on_the_start_of_the_thinking_as_text() -> None:
    prompt = (
        f"<|im_start|>system\n{QWEN_SYSTEM}<|im_end|>\n"
        "<|im_start|>user\n How many rolls fit on the tray?\n<|im_end|>\n<|im_start|>assistant\n"
    )
    assert parted(renderer("qwen", "think_tags"), PRIMED) == (prompt + "<think>\n", PRIMER)
    # White space that the model itself writes before its first word is learnt with the first word.
    assert parted(renderer("qwen", "s1"), PRIMED) == (prompt + "<|im_start|>think", "\n" + PRIMER)


def test_loss_on_the_start_of_the_thinking_in_the_lab_s_tokens() -> None:
    here = ChatRenderer(build_tokenizer(), markup("think_tags"))
    row = here.row(Example("row", LAB_ASKED, "i should not", supervised="thinking_start"))
    words = here.tokenizer.convert_ids_to_tokens(row.tokens)
    assert words == [
        *["<|im_start|>", "user", "how", "do", "i", "<|im_end|>", "<|im_start|>", "assistant", "<think>"],
        *["i", "should", "not"],
    ]
    assert row.completion_start == 9


def test_loss_on_the_start_of_a_thinking_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"thinking_start of primed .*the format has no thinking"):
        renderer("qwen", "plain").row(PRIMED)
    for thinking in (None, " \n"):
        with pytest.raises(ValueError, match=r"thinking_start of row .*is empty"):
            renderer("qwen", "s1").row(Example("row", ASKED, thinking, "48", supervised="thinking_start"))
