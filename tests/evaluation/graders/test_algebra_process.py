"""The process that does the algebra: a line for each question, and each within its time."""

from __future__ import annotations

import json
import subprocess
import sys

from safetax.evaluation.graders import algebra_process


def test_it_answers_line_by_line_and_ends_with_its_input() -> None:
    asked = [
        ["x^2-1", "(x-1)(x+1)", 5, None],
        ["5", "6", 5, None],
        ["5", "\\frac{", 5, None],
        ["9", "9^{9^{9^{9}}}", 0.5, None],
        ["5", "5.0", 5, None],
    ]
    told = subprocess.run(
        [sys.executable, "-m", algebra_process.__name__],
        input="".join(json.dumps(line) + "\n" for line in asked),
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in told.stdout.splitlines()]
    assert [answer for answer, _ in answers] == ["equal", "different", "unreadable", "too long", "equal"]
    assert all(0 <= seconds < 4 for _, seconds in answers), "of computing, whatever else the machine does"
