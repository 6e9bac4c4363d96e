"""What the final answer in a response is, and which choice it settles on."""

from __future__ import annotations

import pytest

from safetax.evaluation.graders.choices import choice
from safetax.evaluation.graders.extraction import final_answer
from safetax.evaluation.graders.spans import formulas


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


CHOICES = ["Jupiter", "$3x^2$", "80 km/h", "The piano"]


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


SIZE = 300_000
ENDLESS_SHAPES = (
    "\n",
    "\\boxed{",
    "{",
    "\\[",
    "\\(",
    "$$ ",
    "\\$",
    "answer ",
    "answer is ",
    "Answer:\n",
    "#",
    "* ",
    "so, ",
)
ENDLESS_SHAPES += ("\\boxed{1}, ", "A or ", "7,", "777,", "1 / ", "a. ", "\r\n", "x = ")


@pytest.mark.parametrize("shape", ENDLESS_SHAPES)
def test_the_work_grows_with_the_text_and_not_with_its_square(shape: str) -> None:
    """Work that grows with the square would be done in hours."""
    text = shape * (SIZE // len(shape))
    for written in (text, f"The answer is {text}", f"{text}x"):
        final_answer(written)
        choice(written, CHOICES)
    found = final_answer(f"{text}\nFinal Answer: 204")
    assert found is not None
    if "boxed" not in shape:
        assert (found.text, found.how) == ("204", "marked")


def test_formulas_end_where_they_are_closed() -> None:
    text = r"\$ $a\$ $$b$$ \(c\) \[ $d$ \( $$ e"
    assert [span.content for span in formulas(text)] == ["b", "c", "d"]
    assert [text[span.start : span.end] for span in formulas(text)] == ["$$b$$", r"\(c\)", "$d$"]
