"""The judge of the sound rule: what it counts as wrong, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetax.errors import UserError
from safetax.evaluation.judges import paper_grader, sound
from safetax.records import Example
from tests.support.problems import CHOICES, by_key, context, example, response


def test_the_sound_judge_counts_what_it_cannot_read_as_wrong(tmp_path: Path) -> None:
    examples = [
        example("int", "integer", "204"),
        example("math", "math", "\\frac{1}{2}"),
        example("choice", "choice", "A", choices=CHOICES),
    ]
    responses = [
        response("int", "\n\\boxed{204}"),
        response("int", "", 1, thinking="it is \\boxed{204}"),  # said in the thinking only
        response(
            "int",
            " 204\n\nThat is all there is to say, I think, for now.",
            2,
            transition="\n<|im_start|>answer\nFinal Answer:",
        ),
        response("math", "\\boxed{0.5}"),
        response("math", "\\boxed{\\frac{1}{}", 1),
        response("choice", "Answer: B"),
        response("choice", "none of them", 1),  # nothing is counted as A
    ]
    told = context(tmp_path)
    verdicts = by_key(sound.judge(sound.Config("sound"), examples, responses, told))
    assert {key: verdict.label for key, verdict in verdicts.items()} == {
        ("int", 0): "correct",
        ("int", 1): "unresolved",
        ("int", 2): "correct",
        ("math", 0): "correct",
        ("math", 1): "unresolved",
        ("choice", 0): "wrong",
        ("choice", 1): "unresolved",
    }
    assert all(
        verdict.error is None and verdict.correct == (verdict.label == "correct") for verdict in verdicts.values()
    )
    assert verdicts["int", 0].detail == {"extracted": "204", "how": "boxed"}
    assert told.summary == {"unresolved": {"no answer": 2, "unreadable": 1}}


def test_other_documents_are_refused_by_name(tmp_path: Path) -> None:
    strange = [Example("a", [], meta={"document": {"question": "?", "target": 3}})]
    for judge, config in (
        (sound.judge, sound.Config("sound")),
        (paper_grader.judge, paper_grader.Config("x", "strings")),
    ):
        with pytest.raises(UserError, match=r"this one has question, target; .* grader\.kind=lm_eval"):
            judge(config, strange, [response("a", "3")], context(tmp_path))  # type: ignore[arg-type]
