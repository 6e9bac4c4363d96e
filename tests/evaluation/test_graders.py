"""Graders: the published extraction to the letter, the sound rule on answers of every shape, and the judges of both."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from safetax.evaluation.graders.algebra import Algebra
from safetax.evaluation.graders.equality import equal
from safetax.evaluation.graders.extraction import choice, final_answer
from safetax.evaluation.graders.paper import extract, letter, plain_number, same_integer
from safetax.evaluation.graders.sound import grade, process_results
from tests.support.problems import CHOICES, ENDLESS, document

THINK = "Some steps.\n<|im_start|>answer\n"


@pytest.fixture(scope="module")
def algebra() -> Iterator[Algebra]:
    process = Algebra(seconds=4)
    yield process
    process.close()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        # What follows the last marker of an answer.
        ("\\boxed{1}<|im_start|>answer\n\\boxed{2}", "2"),
        ("a<|im_start|>answer\n\\boxed{1}<|im_start|>answer\nThe result is 3", "The result is 3"),
        ("think\n<|im_start|>answer\nFinal Answer: 7", "7"),
        # Else what follows the last marker of any turn, without its first line if it has several.
        ("think<|im_start|>answer so\n\\boxed{5}", "5"),
        ("think<|im_start|>think \\boxed{1}\nit is 6", "it is 6"),
        ("think<|im_start|>answer: 12", "12"),  # its one line stays, and begins with the word that announces an answer
        ("think<|im_start|>final 13", "final 13"),
        # No marker at all: the whole text.
        ("one\ntwo", "one\ntwo"),
        # \boxed with a blank: what follows its last occurrence, up to the next dollar sign, before any other box.
        (THINK + "$\\boxed 42$ and \\boxed{43}", "42"),
        (THINK + "$\\boxed 1$ then $\\boxed 2 $.", "2 "),
        (THINK + "\\boxed 9 apples", "9 apples"),
        # The last box with balanced braces.
        (THINK + "\\boxed{1} or \\boxed{\\frac{1}{2}} in the end", "\\frac{1}{2}"),
        (THINK + "\\boxed{ 10 }", " 10 "),
        (THINK + "\\boxed{3} and then \\boxed{4", "3"),
        (THINK + "\\boxed{\\text{(C)}}", "\\text{(C)}"),
        # \fbox is not extracted.
        (THINK + "\\fbox{5}", "\\fbox{5}"),
        (THINK + "\\fbox{5} Answer: 6", "6"),
        # What follows Answer:, whatever its case and the white space, to the end and not stripped.
        (THINK + "Answer: 17", "17"),
        (THINK + "the ANSWER  :\n 18 ", "18 "),
        (THINK + "Answer: one\nAnswer: two\n", "one\nAnswer: two\n"),
        (THINK + "Answer: C. It is the third.", "C. It is the third."),
        # A box goes before Answer:.
        (THINK + "Answer: \\boxed{19} units", "19"),
        # Else the text as it is.
        (THINK + " It is 20. ", " It is 20. "),
    ],
)
def test_the_published_extraction(text: str, answer: str) -> None:
    assert extract(text) == answer


def test_the_published_comparison_of_digits_and_letters() -> None:
    assert plain_number("023") == "23" and plain_number("x") == "x"
    assert same_integer("23", "023") is True
    assert same_integer("23", "24") is False
    assert same_integer("23", " 23") is None  # a blank is no digit
    assert same_integer("23", "-23") is None
    assert same_integer("2", "²") is None
    assert [letter(text) for text in ("A", "d", "E", "B)", "AB", "", " c")] == ["A", "D", None, None, None, None, None]


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


@pytest.mark.parametrize(
    ("text", "answer", "how"),
    [
        ("So \\boxed{3}, no: \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}", "boxed"),
        ("The roots are $\\boxed{2}$ and $\\boxed{3}$.", "2, 3", "boxed"),
        ("\\boxed{\\boxed{4}}", "\\boxed{4}", "boxed"),
        ("\\fbox{5} at last", "5", "boxed"),
        ("Final Answer: 204", "204", "marked"),
        ("**Final Answer:** $\\frac{3}{4}$", "\\frac{3}{4}", "marked"),
        ("### Final Answer\n\n\\[\n x = 7 \n\\]\nDone.", "x = 7", "marked"),
        ("The answer is 12. I hope that it helps.", "12", "marked"),
        ("first the answer is 3\nno, the answer is: $5$", "5", "marked"),
        ("she sold 9 * 2 = <<9*2=18>>18\n#### 18", "18", "marked"),
        ("(2, 3)", "(2, 3)", "whole"),
        ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "whole"),
        ("First 3 and 4.\nSo in all there are 1,319 of them.", "1,319", "last"),
        ("We add $a = 2$.\nThen it follows that the sum must be $a + 5 = 7$ as was to be shown.", "a + 5 = 7", "last"),
    ],
)
def test_where_the_final_answer_stands(text: str, answer: str, how: str) -> None:
    found = final_answer(text)
    assert found is not None and (found.text, found.how) == (answer, how)


@pytest.mark.parametrize("text", ["", "  \n", "I do not know how to go on from here at all, sorry.\n", "\\boxed{}"])
def test_what_states_no_answer_is_unresolved(text: str, algebra: Algebra) -> None:
    found = grade({"kind": "integer", "answer": "5"}, text, algebra)
    assert (found.label, found.reason) == ("unresolved", "no answer")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\\boxed{C}", "C"),
        ("\\boxed{\\text{(b)}}", "B"),
        ("\\boxed{\\text{D) The piano}}", "D"),
        ("\\boxed{80\\text{ km/h}}", "C"),
        ("Answer: D", "D"),
        ("The correct answer is (A), since B is smaller.", "A"),
        ("The answer must be B because C and D are not", None),
        ("**Answer:** C) 80 km/h", "C"),
        ("I compared all four.\n\nD", "D"),
        ("a", "A"),
        ("The answer is Jupiter.", "A"),
        ("A piano has strings, so it could be one of them.", None),
        ("The answer is A piano", None),
        ("\\boxed{E}", None),
        ("It is B or C.", None),
        # What is said of several choices before the end settles nothing.
        ("A) foo is wrong ..\nB) bar is right ..\n\nTherefore B.", "B"),
        ("a, b and c are constants.\n\n(B)", "B"),
        ("A) Jupiter is too large.\nB) The square is right.\nAnd so on.", None),
        ("Thus B is wrong.", None),
        # Nor does what rules a choice out, or names two.
        ("The correct option is not B.", None),
        ("The answer isn't B", None),
        ("\\boxed{B, C}", None),
        ("\\boxed{\\text{(A) or (B)}}", None),
        ("The correct answer is (B) or (C).", None),
        ("The answer is B, since A is wrong.", "B"),
        ("A lot of work.\n**So, it is option (D).**", "D"),
        # A list of choices is no answer, whatever announces it; a line of its own is one.
        ("Answer choices:\nA) x\nB) y\nI conclude it is B.", "B"),
        ("answer choices:\n\na) x\n\nb) y\n\nWho knows?", None),
        ("**Answer:**\n\nC) 80 km/h\n\nThat was easy.", "C"),
        ("The answer is:\nB", "B"),
        ("Answer: D\nA) is too large.\nB) is no planet.", "D"),
        ("", None),
    ],
)
def test_the_letter_of_a_choice(text: str, expected: str | None) -> None:
    found = choice(text, CHOICES)
    assert (found and found.text) == expected


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


def test_algebra_ends_what_takes_too_long_and_goes_on() -> None:
    process = Algebra(seconds=1)
    try:
        assert process.equal("x^2-1", "(x-1)(x+1)") == "equal"  # the libraries are loaded by now
        started = time.monotonic()
        assert process.equal("9", "9^{9^{9^{9}}}") == "too long"
        assert time.monotonic() - started < 10
        assert process.equal("x^2-1", "(x-1)(x+2)") == "different"
        assert process.equal("5", "\\frac{") == "unreadable"
    finally:
        process.close()


def test_algebra_outlives_the_death_of_its_process_and_works_in_threads() -> None:
    process = Algebra(seconds=5)
    try:
        assert process.equal("a+b", "b+a") == "equal"
        assert process._process is not None
        process._process.kill()
        assert process.equal("a+c", "c+a") == "too long"  # counted, and never taken for wrong or right in silence
        answers: list[str] = []
        threads = [
            threading.Thread(target=lambda n=n: answers.append(process.equal(f"a+{n}", f"{n}+a"))) for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == ["equal"] * 4
    finally:
        process.close()


def test_lm_eval_scores_by_the_sound_rule() -> None:
    assert process_results(document("integer", "204"), ["\\boxed{204}"]) == {"sound": 1.0, "unresolved": 0.0}
    assert process_results(document("integer", "204"), ["who knows"]) == {"sound": 0.0, "unresolved": 0.0}
    assert process_results(document("integer", "204"), [""]) == {"sound": 0.0, "unresolved": 1.0}
