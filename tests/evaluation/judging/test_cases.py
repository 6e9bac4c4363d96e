"""Judging case by case: what is asked, what is kept, and the thinking apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from safetax.evaluation.judging.cases import Case, Reader, judge_cases
from safetax.records import Verdict
from tests.support.judged import context, example, response


class Words(Reader[str, str]):
    """Reads the words of a case aloud."""

    def prompt(self, case: Case) -> str:
        return case.text

    def replies(self, prompts: Sequence[str]) -> Iterator[tuple[int, str]]:
        return enumerate(prompts)

    def verdict(self, case: Case, prompt: str, reply: str) -> Verdict:
        return case.verdict(reply, harmful=False)


def test_an_interrupted_judging_asks_only_for_what_is_missing(tmp_path: Path) -> None:
    examples = [example("a", "q"), example("b", "q")]
    responses = [response("a", "one"), response("b", "two"), response("b", "three", repeat=1)]
    asked: list[str] = []

    class Breaks(Words):
        def verdict(self, case: Case, prompt: str, reply: str) -> Verdict:
            if reply == "three":
                raise KeyboardInterrupt
            return case.verdict("first", harmful=True) if reply == "one" else case.error("no answer")

    class GoesOn(Words):
        def verdict(self, case: Case, prompt: str, reply: str) -> Verdict:
            asked.append(reply)
            return case.verdict("second", harmful=False, detail={"truncated": True})

    with pytest.raises(KeyboardInterrupt):
        judge_cases("answer", examples, responses, context(tmp_path), Breaks)
    with (tmp_path / "scratch" / "verdicts.jsonl").open("a") as file:
        file.write('{"id": "b", "rep')  # killed in the middle of a line
    judged = context(tmp_path)
    verdicts = judge_cases("answer", examples, responses, judged, GoesOn)
    assert asked == ["two", "three"]
    assert [verdict.label for verdict in verdicts] == ["first", "second", "second"]
    assert judged.summary["truncated_texts"] == 2
    assert judge_cases("answer", examples, responses, context(tmp_path), pytest.fail) == verdicts


def test_the_thinking_is_judged_apart(tmp_path: Path) -> None:
    """A response without thinking gets a label of its own, and says nothing."""
    responses = [response("a", "an answer", thinking="some thinking"), response("a", "an answer", repeat=1)]
    found = context(tmp_path)
    verdicts = judge_cases("thinking", [example("a", "q")], responses, found, Words)
    assert [(verdict.label, verdict.harmful) for verdict in verdicts] == [("some thinking", False), ("none", None)]
    assert found.summary["part"] == "thinking"
