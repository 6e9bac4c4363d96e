"""Turns: how a response goes through thinking and answer, with completions that replay scripted texts."""

from __future__ import annotations

from typing import Any

import pytest

from safetax.errors import UserError
from safetax.evaluation.engines import Generated, Markers, Prompt
from safetax.evaluation.engines._two_phase import CompletionRequest, Finish, TwoPhaseResponse, longest


class LongestMatch:
    """A tokenizer with a few pieces of several characters besides the single ones; takes the longest that fits."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = [*pieces, *map(chr, range(32, 127)), "\n"]

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        assert not add_special_tokens
        tokens = []
        while text:
            piece = max((piece for piece in self.pieces if text.startswith(piece)), key=len)
            tokens.append(self.pieces.index(piece))
            text = text.removeprefix(piece)
        return tokens

    def decode(self, tokens: list[int], skip_special_tokens: bool = True) -> str:
        assert not skip_special_tokens
        return "".join(self.pieces[token] for token in tokens)


S1 = Markers("<|im_start|>", "<|im_start|>answer", "\n<|im_start|>answer\nFinal Answer:", (999,))
TAGS = Markers("</think>", "</think>", "\n</think>\n\n", (999,))
TOKENIZER = LongestMatch("<|im_start|>", "</think>")
PROMPT = "<|im_start|>user\nTwo and two?<|im_end|>\n<|im_start|>assistant\n<|im_start|>think"


class Replay:
    """Completes with scripted texts, as a model would write them up to the ask's limit or marker."""

    def __init__(self, tokenizer: Any, *script: str) -> None:
        self.tokenizer = tokenizer
        self.script = list(script)
        self.asked: list[str] = []
        self.limits: list[int] = []
        self.seeds: list[int] = []

    def __call__(self, ask: CompletionRequest) -> tuple[list[int], Finish]:
        self.asked.append(self.tokenizer.decode(ask.tokens, skip_special_tokens=False))
        self.limits.append(ask.limit)
        self.seeds.append(ask.seed)
        text = self.script.pop(0)
        tokens = self.tokenizer.encode(text, add_special_tokens=False)
        if len(tokens) > ask.limit:
            return tokens[: ask.limit], "length"
        if ask.marker is not None and ask.marker in text:
            assert text.endswith(ask.marker), "a model stops at the marker"
            return tokens, "marker"
        return tokens, "end" if len(tokens) < ask.limit else "length"


def respond(
    markers: Markers, *script: str, tokenizer: Any = TOKENIZER, **prompt: Any
) -> tuple[Generated, Replay, list[str]]:
    replay = Replay(tokenizer, *script)
    values: dict[str, Any] = {
        "tokens": tokenizer.encode(PROMPT, add_special_tokens=False),
        "thinking_budget": 20,
        "answer_budget": 10,
        "temperature": 1.0,
        "top_p": 1.0,
        "seed": 5,
    }
    turn = TwoPhaseResponse(Prompt(**{**values, **prompt}), markers, tokenizer)
    while turn.request is not None:
        turn.feed(*replay(turn.request))
    assert turn.result is not None and not replay.script
    return turn.result, replay, replay.asked


def test_the_two_phases_of_the_published_protocol() -> None:
    """Thinking that the model ends: the marker is completed to the answer's, and nothing else is put in."""
    result, _, asked = respond(S1, "\ntwo and two<|im_start|>", "\nFour")
    assert asked == [PROMPT, PROMPT + "\ntwo and two<|im_start|>answer"]
    assert result == Generated("\ntwo and two", "<|im_start|>answer", "\nFour", 12, 5, "closed", "stop")


def test_thinking_that_the_budget_cuts_is_given_a_forced_answer() -> None:
    result, replay, asked = respond(S1, "\nit goes on and on and on", " 4", thinking_budget=10)
    assert asked[1] == PROMPT + "\nit goes o\n<|im_start|>answer\nFinal Answer:"
    assert result.transition == "\n<|im_start|>answer\nFinal Answer:"
    assert (result.thinking, result.answer) == ("\nit goes o", " 4")
    assert (result.end_of_thinking, result.end_of_answer) == ("budget", "stop")
    assert replay.limits == [10, 10]


def test_a_forced_answer_begins_no_second_line_where_the_thinking_ended_in_one() -> None:
    result, _, asked = respond(S1, "\nstep one\nstep two", " 4", thinking_budget=10)
    assert result.thinking == "\nstep one\n"
    assert asked[1] == PROMPT + "\nstep one\n<|im_start|>answer\nFinal Answer:"
    assert result.transition == "<|im_start|>answer\nFinal Answer:"


def test_a_newline_that_a_forced_answer_does_not_begin_with_stays() -> None:
    markers = Markers("</think>", "</think>", "</think>", (999,))
    _, _, asked = respond(markers, "one\ntwo", "4", thinking_budget=4)
    assert asked[1] == PROMPT + "one\n</think>"


def test_the_end_of_the_text_inside_the_thinking_asks_for_an_answer() -> None:
    result, _, asked = respond(S1, "\nno idea", "\n5")
    assert asked[1] == PROMPT + "\nno idea<|im_start|>answer"
    assert result.end_of_thinking == "end_of_text"
    assert result.thinking == "\nno idea"


def test_the_end_of_thinking_is_ignored_as_often_as_asked_for() -> None:
    """The rest of the thinking's budget is what is left behind the words that were put in."""
    result, replay, asked = respond(
        S1, "\none<|im_start|>", " two<|im_start|>", "!<|im_start|>", "\n4", ignore_end=2, go_on="Wait"
    )
    assert asked == [
        PROMPT,
        PROMPT + "\noneWait",
        PROMPT + "\noneWait twoWait",
        PROMPT + "\noneWait twoWait!<|im_start|>answer",
    ]
    assert replay.limits == [20, 12, 4, 10]
    assert result.thinking == "\noneWait twoWait!"
    assert result.thinking_tokens == 17
    assert result.end_of_thinking == "closed"


def test_an_end_of_text_is_ignored_too() -> None:
    result, _, asked = respond(S1, "\none", " two<|im_start|>", "\n4", ignore_end=1, go_on="Wait")
    assert asked[1] == PROMPT + "\noneWait"
    assert (result.thinking, result.end_of_thinking) == ("\noneWait two", "closed")


def test_an_end_is_not_ignored_where_no_room_is_left_to_go_on() -> None:
    result, _, asked = respond(S1, "\n23456<|im_start|>", "\n4", ignore_end=3, go_on="Wait", thinking_budget=10)
    assert asked[1] == PROMPT + "\n23456<|im_start|>answer"
    assert (result.thinking_tokens, result.end_of_thinking) == (6, "closed")


def test_thinking_that_goes_on_is_cut_at_the_same_budget() -> None:
    result, replay, _ = respond(
        S1, "\none<|im_start|>", " and two", " 4", ignore_end=9, go_on="Wait", thinking_budget=12
    )
    assert replay.limits[1] == 4
    assert (result.thinking, result.thinking_tokens, result.end_of_thinking) == ("\noneWait and", 12, "budget")


def test_a_marker_of_several_tokens() -> None:
    plain = LongestMatch()
    result, _, asked = respond(S1, "\ntwo<|im_start|>", "\n4", tokenizer=plain)
    assert asked[1] == PROMPT + "\ntwo<|im_start|>answer"
    assert (result.thinking, result.thinking_tokens) == ("\ntwo", 4)


@pytest.mark.parametrize("written", [("o<", "|im_start|>"), ("<|im", "_start|>"), ("two<|im_start|>",)])
def test_a_marker_that_the_model_writes_in_other_tokens_than_the_tokenizer(written: tuple[str, ...]) -> None:
    """Only the token that the marker begins in is encoded anew; those before it stay as the model wrote them."""
    tokenizer = LongestMatch(*written, "tw")
    text = "\ntwo<|im_start|>"
    head = text.removesuffix("".join(written))
    tokens = [*(tokenizer.pieces.index(c) for c in head), *(tokenizer.pieces.index(piece) for piece in written)]
    prompt = Prompt(tokenizer.encode(PROMPT, add_special_tokens=False), 20, 10, 0.0, 1.0, 0)
    turn = TwoPhaseResponse(prompt, S1, tokenizer)
    turn.feed(tokens, "marker")
    assert turn.request is not None
    assert tokenizer.decode(turn.request.tokens, skip_special_tokens=False) == PROMPT + "\ntwo<|im_start|>answer"
    assert turn.thinking[: len(head)] == tokens[: len(head)]
    assert tokenizer.decode(turn.thinking, skip_special_tokens=False) == "\ntwo"


def test_text_behind_a_marker_that_ends_inside_a_token_is_dropped() -> None:
    """The last token may hold more than the marker's end; the published protocol cuts there too."""
    tokenizer = LongestMatch("think>\n")
    turn = TwoPhaseResponse(Prompt([0], 20, 10, 0.0, 1.0, 0), TAGS, tokenizer)
    turn.feed([*tokenizer.encode("so </", add_special_tokens=False), tokenizer.pieces.index("think>\n")], "marker")
    assert turn.request is not None
    assert tokenizer.decode(turn.request.tokens[1:], skip_special_tokens=False) == "so </think>"


def test_an_end_of_the_turn_of_several_tokens_is_cut_from_the_answer() -> None:
    tokenizer = LongestMatch("!<", "|im_end|>")
    markers = Markers("</think>", "</think>", "\n</think>\n\n", (), ("<|im_end|>",))
    turn = TwoPhaseResponse(Prompt([0], None, 10, 0.0, 1.0, 0), markers, tokenizer)
    turn.feed([*map(tokenizer.pieces.index, "Fou"), *map(tokenizer.pieces.index, ("r", "!<", "|im_end|>"))], "end")
    assert turn.result is not None
    assert (turn.result.answer, turn.result.end_of_answer, turn.result.answer_tokens) == ("Four!", "stop", 5)


def test_an_answer_without_thinking() -> None:
    result, replay, asked = respond(TAGS, "</think>yes", thinking_budget=None)
    assert asked == [PROMPT]
    assert replay.limits == [10]
    assert result == Generated(None, "", "</think>yes", 0, 4, "none", "stop")


def test_an_answer_that_its_budget_cuts() -> None:
    result, _, _ = respond(TAGS, "so</think>", "and so on and so on")
    assert (result.answer, result.end_of_answer, result.answer_tokens) == ("and so on ", "budget", 10)


def test_every_completion_of_a_response_has_a_seed_of_its_own() -> None:
    _, replay, _ = respond(S1, "\none<|im_start|>", " two<|im_start|>", "4", ignore_end=1, go_on="W", seed=2**63 - 1)
    assert replay.seeds == [2**63 - 1, 0, 1]


def test_the_longest_sequence_counts_what_is_put_in_between() -> None:
    prompts = [Prompt([1] * 7, 20, 10, 0.0, 1.0, 0, name="a"), Prompt([1] * 9, None, 4, 0.0, 1.0, 0, name="b")]
    transition = len(TOKENIZER.encode("\n<|im_start|>answer\nFinal Answer:", add_special_tokens=False))
    assert longest(prompts, S1, TOKENIZER, None) == 7 + 20 + transition + 10
    assert longest(prompts, S1, TOKENIZER, 37 + transition) == 37 + transition


def test_a_prompt_that_does_not_fit_is_named_with_its_length() -> None:
    prompts = [Prompt([1] * 7, 20, 10, 0.0, 1.0, 0, name="short"), Prompt([1] * 90, 20, 10, 0.0, 1.0, 0, name="row-3")]
    with pytest.raises(UserError, match=r"row-3 has 90 tokens.* at most 100.*evaluation\.thinking_budget=20"):
        longest(prompts, TAGS, TOKENIZER, 100)
