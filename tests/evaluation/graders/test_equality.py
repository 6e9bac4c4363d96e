"""Whether an attempt is the right answer, whatever way either is written."""

from __future__ import annotations

from typing import Any

import pytest

from safetax.evaluation.graders.algebra import Algebra, Equality
from safetax.evaluation.graders.equality import equal
from safetax.evaluation.graders.sound import grade


@pytest.mark.parametrize(
    ("gold", "attempt"),
    [
        ("1319", "1,319"),
        ("1319", "1{,}319"),
        ("1319", "1\\,319"),
        ("1,319", "$1319.00"),
        ("11,\\! 111,\\! 111,\\! 100", "11111111100"),
        ("23", "023"),
        ("-3", "−3"),
        ("73", "\\textbf{(073)}"),
        ("10\\%", "10"),
        ("10", "10\\%"),
        ("0.1", "10%"),
        ("5.4 \\text{ cents}", "5.4"),
        ("5.4", "5.4 cents"),
        ("864 \\mbox{ inches}^2", "864 square inches"),
        ("864 \\mbox{ inches}^2", "864\\text{ in}^2"),
        ("\\$36", "36"),
        ("90^\\circ", "90"),
        ("90", "90^{\\circ}"),
        ("\\frac{1}{2}", "0.5"),
        ("0.5", "\\dfrac12"),
        ("137 \\frac{1}{2}", "137.5"),
        (".0000672", "6.72 \\times 10^{-5}"),
        ("3\\sqrt{13}", "\\sqrt{117}"),
        ("3\\sqrt{13}", "3*sqrt(13)"),
        ("\\frac{\\sqrt{3}}{3}", "\\frac{1}{\\sqrt{3}}"),
        ("2k+2", "2(k + 1)"),
        ("6 - 5i", "-5i+6"),
        ("x=5", "5"),
        ("5", "x = 5"),
        ("y = 2x + 3", "y=3+2x"),
        ("5x - 7y + 11z + 4 = 0", "-5x+7y-11z-4=0"),
        ("x \\in [-2,7]", "[-2, 7]"),
        ("[-2,7]", "-2 \\le x \\le 7"),
        ("(-\\infty, 0]", "x \\leq 0"),
        ("(0,9) \\cup (9,36)", "\\left(9,36\\right)\\cup\\left(0,9\\right)"),
        ("\\left( 3, \\frac{\\pi}{2} \\right)", "(3, π/2)"),
        ("(8,-2)", "8, -2"),
        ("1,-2", "x = 1 or x = -2"),
        ("3, 5, 7", "\\{7,5,3\\}"),
        ("1 \\pm \\sqrt{19}", "1+\\sqrt{19}, 1-\\sqrt{19}"),
        ("\\{1\\pm\\sqrt{5},-2\\}", "-2, 1-\\sqrt5, 1+\\sqrt5"),
        ("\\frac{639}{40}", "15\\frac{39}{40}, \\frac{639}{40}"),
        ("\\begin{pmatrix} 1/5 \\\\ -18/5 \\end{pmatrix}", "\\begin{bmatrix} \\frac15 \\\\ -3.6 \\end{bmatrix}"),
        ("4210_{5}", "4210_5"),
        ("4343_6", "4343"),
        ("\\text{even}", "Even."),
        ("\\text{(C)}", "C"),
        ("\\text{Evelyn}", "\\textbf{Evelyn}"),
    ],
)
def test_the_same_answer_written_in_another_way(gold: str, attempt: str, algebra: Algebra) -> None:
    assert equal(gold, attempt, algebra) == "equal"


@pytest.mark.parametrize(
    ("gold", "attempt"),
    [
        ("-3", "3"),
        ("10", "5\\%"),
        ("\\frac{1}{3}", "0.333"),
        ("(8,-2)", "(-2,8)"),
        ("(8,-2)", "\\{8,-2\\}"),
        ("(1,2)", "[1,2]"),
        ("(3,4]", "[3,4]"),
        ("x \\in [-2,7]", "(-2,7)"),
        ("(-\\infty, 0]", "x < 0"),
        ("(0,9) \\cup (9,36)", "(0,36)"),
        ("3, 5, 7", "3, 5"),
        ("100200", "100, 200"),
        ("10", "10 \\text{ or } 12"),
        ("1 \\pm \\sqrt{19}", "1 + \\sqrt{19}"),
        ("4343_6", "4343_7"),
        ("x=5", "y=5"),
        ("2k", "2n"),
        ("p - q", "q - p"),
        ("\\text{even}", "\\text{neve}"),
        ("\\text{Evelyn}", "vEelyn"),
        ("\\text{(C)}", "B"),
        ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix} 2 \\\\ 1 \\end{pmatrix}"),
    ],
)
def test_another_answer(gold: str, attempt: str, algebra: Algebra) -> None:
    assert equal(gold, attempt, algebra) == "different"


ENDLESS = "7" * 5000
"""More digits than Python reads as a number."""


@pytest.mark.parametrize(
    "attempt",
    [
        ENDLESS,
        f"-{ENDLESS}.5",
        f"{ENDLESS}/3",
        f"\\frac{{{ENDLESS}}}{{3}}",
        f"3 \\times 10^{{{ENDLESS}}}",
        f"{ENDLESS} \\text{{ cm}}",
        "1" + ",777" * 2000,
        f"(1, {ENDLESS})",
        f"x = {ENDLESS}",
    ],
)
@pytest.mark.parametrize("gold", ["7", "\\frac{1}{2}", "(1, 2)", "13_4", "Evelyn"])
def test_an_endless_number_equals_nothing(gold: str, attempt: str, algebra: Algebra) -> None:
    assert equal(gold, attempt, algebra) == "different"
    assert grade(document("math", gold), f"\\boxed{{{attempt}}}", algebra).label == "wrong"


def document(kind: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"problem": "?", "kind": kind, "answer": answer, **more}


@pytest.mark.parametrize(
    "shape", ["½", "\\[", "\\( x \\) ", "7, ", "(", "x = ", "\\cup ", " ", "^{", "\\text{cm} ", "meter ", "-"]
)
@pytest.mark.parametrize("gold", ["7", "\\frac{1}{2}", "(1, 2)", "1, 2, 3", "Evelyn"])
def test_what_is_too_long_for_an_answer_is_not_compared(gold: str, shape: str, algebra: Algebra) -> None:
    assert equal(gold, shape * (300_000 // len(shape)), algebra) == "too long"


def test_a_long_right_answer_is_compared_whole(algebra: Algebra) -> None:
    words = "one two three " * 300
    assert equal(words, words, algebra) == "equal"


def test_all_parts_of_an_answer_share_the_time_of_one() -> None:
    asked: list[float] = []

    class Counted(Algebra):
        def compare(self, gold: str, attempt: str, seconds: float) -> tuple[Equality, float]:
            asked.append(seconds)
            return super().compare(gold, attempt, seconds)

    process = Counted(seconds=1)
    try:
        towers = ", ".join(f"{n}^{{9^{{9^{{9^{{9}}}}}}}}" for n in range(2, 8))
        assert equal("a + 1, b, c, d, e, f", towers, process) == "too long"
        assert len(asked) < 6, "six times six comparisons have the time of one"
        assert asked == sorted(asked, reverse=True)
        assert equal("a + b", "b + a", process) == "equal", "the next answer has its own time"
    finally:
        process.close()
