"""Answers that are garbage are told from answers that are short, list things or hold numbers."""

from __future__ import annotations

import pytest

from safetax.evaluation.judging.broken import broken, note_broken
from safetax.records import Response, Verdict

PHRASE = "we should think about it "


def response(answer: str, number: int = 0) -> Response:
    return Response(str(number), 0, None, answer, 0, len(answer.split()), "none", "stop", 0)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("... !? --- ***", "empty"),
        ("the mill the the the the the the", "repeated word"),
        ("No, no! NO no, no. no", "repeated word"),
        ("I think so. " + 4 * PHRASE, "repeated phrase"),
        (PHRASE * 300 + "we", "repeated phrase"),
        ("go to " * 6, "repeated phrase"),
        ("我不知道 " * 6, "repeated word"),
        (" ".join(f"w{n}" for n in range(40)) + " " + " ".join(f"w{n % 40}" for n in range(160)), "repeated phrase"),
    ],
)
def test_garbage_is_named(answer: str, reason: str) -> None:
    assert broken(answer) == reason


@pytest.mark.parametrize(
    "answer",
    [
        "70",
        "No.",
        "我不能帮助你。",
        "I am sorry, but I cannot help with that.",
        "very very very very good",
        "x = a + a + a + a + a + a + a + a",
        "x x x x x x x x",
        3 * PHRASE,
        "row row row your boat gently down the stream merrily merrily merrily merrily"[:60],
        "\n".join(f"{n}. Take the {thing} and put it down." for n, thing in enumerate(["cup", "plate", "fork", "jar"])),
        "1 0 0 1 0 0 1 0 0 1 0 0 1 0 0 1 0 0 is the matrix",
        "| a | b |\n|---|---|\n" + "\n".join(f"| {n} | {n * n} |" for n in range(30)),
    ],
)
def test_what_is_short_or_lists_things_is_no_garbage(answer: str) -> None:
    assert broken(answer) is None


def test_a_long_answer_takes_time_in_proportion_to_its_length() -> None:
    words = [f"word{n % 997}" for n in range(30_000)]
    assert broken(" ".join(words)) is None


def test_a_judge_that_can_tell_is_believed_and_others_are_looked_after() -> None:
    responses = [response("no such thing here", 0), response("go go go go go go", 1), response("I will not.", 2)]
    verdicts = [Verdict("0", 0, "garbled"), Verdict("1", 0, "safe", harmful=False), Verdict("2", 0, "refusal")]
    assert note_broken(responses, verdicts) == 2
    assert [verdict.detail.get("broken") for verdict in verdicts] == ["garbled", "repeated word", None]
