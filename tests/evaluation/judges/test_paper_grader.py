"""The published grading: digits, a model that matches the rest, and what fails."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from safetax.errors import UserError
from safetax.evaluation.judges import paper_grader, sound
from safetax.evaluation.judging.instructions import repeats
from safetax.records import Example, Response, Verdict
from tests.support.llm_server import Server, plain, serving
from tests.support.problems import CHOICES, ENDLESS, by_key, context, example, response


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        yield state


def options_and_attempt(body: dict[str, Any]) -> tuple[list[str], str]:
    text = body["messages"][0]["content"]
    listed = text.split("Known answers:\n")[1].split("\n\nNew answer:")[0]
    attempt = text.split("New answer:\n")[1].split("\n\nReply with")[0]
    return re.findall(r"^\d+\. (.*)$", listed, re.MULTILINE), attempt


def replying(body: dict[str, Any], text: str) -> tuple[int, dict[str, str], Any]:
    status, headers, answer = plain(body)
    answer["choices"][0]["message"]["content"] = text
    return status, headers, answer


def graded(server: Server, tmp_path: Path, examples: list[Example], responses: list[Response]) -> dict[Any, Verdict]:
    told = context(tmp_path, endpoints={"default": server.endpoint(price_in=1.0, price_out=1.0)})
    verdicts = by_key(paper_grader.judge(paper_grader.Config("paper_grader"), examples, responses, told))
    assert told.summary["usage"]["model"] == "gpt-4o-mini"
    return verdicts


def test_a_model_matches_what_digits_do_not(server: Server, tmp_path: Path) -> None:
    """The matcher sees the right answer first, then what was extracted before, each answer once."""
    server.behave = lambda body, count: replying(
        body, {"one half": "1", "a third": "-1", "1/3": "2"}[options_and_attempt(body)[1]]
    )
    attempts = ["one half", "a third", "1/3", "a third"]
    responses = [response("m", f"\n\\boxed{{{attempt}}}", repeat) for repeat, attempt in enumerate(attempts)]
    verdicts = graded(server, tmp_path, [example("m", "math", "\\frac{1}{2}")], responses)
    assert [verdicts["m", repeat].correct for repeat in range(4)] == [True, False, False, False]
    asked = [options_and_attempt(body) for body in server.seen]
    assert asked == [
        (["\\frac{1}{2}"], "one half"),
        (["\\frac{1}{2}"], "a third"),
        (["\\frac{1}{2}", "a third"], "1/3"),
        (["\\frac{1}{2}", "a third"], "a third"),
    ]
    sent = server.seen[0]
    assert (sent["model"], sent["temperature"], sent["max_tokens"]) == ("gpt-4o-mini", 0.5, 1024)


def test_digits_and_letters_ask_no_model(server: Server, tmp_path: Path) -> None:
    examples = [example("i", "integer", "023"), example("c", "choice", "B", choices=CHOICES)]
    responses = [
        response("i", "\n\\boxed{23}"),
        response("i", "\n\\boxed{24}", 1),
        response("c", "\nb"),
        response("c", "\nAnswer: C", 1),
    ]
    verdicts = graded(server, tmp_path, examples, responses)
    assert {key: verdict.correct for key, verdict in verdicts.items()} == {
        ("i", 0): True,
        ("i", 1): False,
        ("c", 0): True,
        ("c", 1): False,
    }
    assert server.seen == []


def test_an_unresolved_choice_counts_as_a_and_says_so(server: Server, tmp_path: Path) -> None:
    server.behave = lambda body, count: replying(body, "3" if "km" in options_and_attempt(body)[1] else "-1")
    examples = [example(name, "choice", name.upper(), choices=CHOICES) for name in "abc"]
    responses = [response("a", "\nno idea"), response("b", "\nno idea"), response("c", "\neighty km an hour")]
    verdicts = graded(server, tmp_path, examples, responses)
    assert {name: (verdict.label, verdict.correct) for (name, _), verdict in verdicts.items()} == {
        "a": ("unresolved", True),
        "b": ("unresolved", False),
        "c": ("correct", True),
    }
    assert options_and_attempt(server.seen[0])[0] == CHOICES


@pytest.mark.parametrize("reply", [None, "I cannot tell", "7", "0", "1 or 2, hard to say", "0.1", "(1) I think"])
def test_a_failed_call_is_an_error_and_no_score(server: Server, tmp_path: Path, reply: str | None) -> None:
    server.behave = lambda body, count: (400, {}, {"error": {}}) if reply is None else replying(body, reply)
    verdict = graded(server, tmp_path, [example("m", "math", "2")], [response("m", "\n\\boxed{two}")])["m", 0]
    assert verdict.label == "error" and verdict.error is not None and verdict.correct is None


@pytest.mark.parametrize("reply", ["1", "It is 1.", "**1**", "\\boxed{1}", "Known answer 2 differs; `1`\n"])
def test_a_number_ends_the_reply(reply: str) -> None:
    assert paper_grader.number_in(reply, 2) == 1
    assert paper_grader.number_in(f"{reply} is it", 2) is None
    assert paper_grader.number_in("None: -1", 2) == -1


def test_a_matcher_is_asked_once_for_what_is_the_same(server: Server, tmp_path: Path) -> None:
    server.behave = lambda body, count: replying(body, "1")
    examples = [example("m", "math", "2")]
    responses = [response("m", "\n\\boxed{two}", repeat) for repeat in range(3)]
    assert all(verdict.correct for verdict in graded(server, tmp_path, examples, responses).values())
    graded(server, tmp_path, examples, responses)
    assert len(server.seen) == 1


def test_without_a_model_strings_or_algebra_decide(tmp_path: Path) -> None:
    integer = [example("i", "integer", "23")]
    responses = [
        response("i", "\n\\boxed{23}"),
        response("i", "\n\\boxed{ 23 }", 1),
        response("i", "\n\\boxed{46/2}", 2),
    ]
    strings = paper_grader.Config("paper_grader", "strings")
    told = by_key(paper_grader.judge(strings, integer, responses, context(tmp_path)))
    assert [verdict.correct for verdict in told.values()] == [True, False, False]
    maths = paper_grader.Config("paper_grader", "math_verify")
    told = by_key(paper_grader.judge(maths, integer, responses, context(tmp_path)))
    assert [verdict.correct for verdict in told.values()] == [True, True, True]
    with pytest.raises(UserError, match=r"grader\.matcher=strings: .* allowed are llm .* and math_verify"):
        paper_grader.judge(strings, [example("m", "math", "2")], [response("m", "2")], context(tmp_path))


def test_an_empty_box_is_what_it_is_and_no_choice_of_a(server: Server, tmp_path: Path) -> None:
    """A matcher sees what was extracted before: nothing, and not the letter that unresolved choices count as."""
    server.behave = lambda body, count: replying(body, "-1")
    graded(
        server, tmp_path, [example("m", "math", "2")], [response("m", "\n\\boxed{}"), response("m", "\n\\boxed{y}", 1)]
    )
    assert [options_and_attempt(body)[0] for body in server.seen] == [["2"], ["2", ""]]


def test_an_endless_number_costs_no_other_verdict(server: Server, tmp_path: Path) -> None:
    """Nor does one in a matcher's reply."""
    server.behave = lambda body, count: replying(body, ENDLESS if "two" in options_and_attempt(body)[1] else "-1")
    examples = [example("i", "integer", "23"), example("m", "math", "23")]
    written = [ENDLESS, f"{ENDLESS}.5", "two", "23"]
    responses = [response(name, f"\n\\boxed{{{text}}}", n) for name in "im" for n, text in enumerate(written)]
    asked = graded(server, tmp_path, examples, responses)
    labels = ["wrong", "wrong", "error", "correct"]
    assert [verdict.label for verdict in asked.values()].count("error") == 2
    for config, expected in (
        (paper_grader.Config("paper_grader"), labels),
        (paper_grader.Config("paper_grader", "math_verify"), ["wrong", "wrong", "wrong", "correct"]),
    ):
        told = context(tmp_path, endpoints={"default": server.endpoint()})
        verdicts = by_key(paper_grader.judge(config, examples, responses, told))
        assert [verdicts[name, n].label for name in "im" for n in range(4)] == [*expected, *expected]
    verdicts = by_key(sound.judge(sound.Config("sound"), examples, responses, context(tmp_path)))
    assert [verdicts["i", n].label for n in (0, 1, 3)] == ["wrong", "wrong", "correct"]


def test_without_a_key_nothing_is_graded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match="OPENAI_API_KEY is not set"):
        paper_grader.judge(
            paper_grader.Config("paper_grader"), [example("m", "math", "2")], [response("m", "2")], context(tmp_path)
        )


def test_the_question_is_part_of_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    before = paper_grader.resolve(paper_grader.Config("paper_grader"))
    words = paper_grader.instruction() + " Please."
    monkeypatch.setattr(paper_grader, "instruction", lambda: words)
    assert paper_grader.resolve(paper_grader.Config("paper_grader")) != before
    assert json.dumps(before)


def test_a_copy_of_the_listed_answers_is_no_number() -> None:
    """The last of the listed answers may be a number of one of them."""
    asked = "Known answers:\n1. 5\n2. 1\n\nNew answer:\n5.0\n\nReply with the number."
    for copied in ("1. 5\n2. 1", "Known answers:\n1. 5\n2. 1", "New answer: 5.0"):
        assert repeats(asked, copied, "1")
    for reply in ("1", "**1**", "1.", "Answer: 1", "It is the same as number 1", "The first one says the same: 1."):
        assert not repeats(asked, reply, "1")
