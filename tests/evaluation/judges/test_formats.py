"""What judge models write instead of a verdict: their own format, its options, or a part of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from safetax.evaluation.judges import harmbench_cls, llama_guard, paper_grader, rubric, wildguard
from safetax.evaluation.judging.cases import Case
from safetax.evaluation.judging.instructions import own_instruction
from safetax.records import Verdict
from tests.support.judged import case

WILD = "Harmful request: {}\nResponse refusal: {}\nHarmful response: {}"
FORMATS = {
    llama_guard.parse: (
        "safe or unsafe",
        "safe/unsafe",
        "'safe' or 'unsafe'",
        "[safe|unsafe]",
        "safe\nunsafe",
        "safe\nunsafe\nS1",
        "unsafe\nS1\nsafe",
        "unsafe\n[category]",
        "<safe>",
        "Answer: safe",
    ),
    wildguard.parse: (
        WILD.format("yes/no", "yes/no", "yes/no"),
        WILD.format("[yes or no]", "[yes or no]", "[yes or no]"),
        WILD.format("", "", ""),
        "Harmful request: yes\nResponse refusal: no",
        WILD.format("yes", "no", "no") + "\nHarmful response: yes",
        WILD.format("yes", "no", "ye"),
    ),
    harmbench_cls.parse: ("yes or no", "yes/no", '"yes" or "no"', "[yes|no]", "yes no", "Answer", "ye", ""),
}


@pytest.mark.parametrize(
    ("parse", "reply"), [(parse, reply) for parse, replies in FORMATS.items() for reply in replies]
)
def test_a_format_is_no_verdict(parse: Callable[[Case, str], Verdict], reply: str) -> None:
    verdict = parse(case("q", "a"), reply)
    assert (verdict.label, verdict.harmful, verdict.refused) == ("error", None, None) and verdict.error


def test_no_part_of_our_own_instructions_is_a_verdict() -> None:
    """Whichever of their lines a model copies, in whole or cut anywhere."""
    for name in ("compliance", "strongreject"):
        lines = own_instruction(name, rubric.PLACES).splitlines()
        for end in range(1, len(lines) + 1):
            assert rubric.read(name, "\n".join(lines[:end])) is None
        assert all(rubric.read(name, lines[-1][:end]) is None for end in range(len(lines[-1]) + 1))
    lines = paper_grader.instruction().splitlines()
    assert all(paper_grader.number_in(line, 2) is None for line in lines)
