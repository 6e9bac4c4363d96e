"""What the final answer in a response is, and that looking for it is bounded."""

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


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        # A sentence states the value that it begins with, whatever follows.
        ("We get 70.", "70"),
        ("So 70.", "70"),
        ("The answer is 70, which equals 35*2.", "70"),
        ("answer: 70 (since 35 + 35 = 70)", "70"),
        ("The answer is 70 (35 + 35 = 70)", "70"),
        ("The answer is 70: 35 + 35", "70"),
        ("So the answer is 70 — that is, 35*2", "70"),
        ("We find that n = 70, i.e. 35*2.", "n = 70"),
        ("The answer is **70** because 3*4 is 12", "70"),
        ("The result is 70 and not 71.", "70"),
        ("The answer is x = 70 when y = 2", "x = 70"),
        ("The answer is (3, 4), the point.", "(3, 4)"),
        ("The answer is $\\frac{1}{2}$, because $\\frac{2}{4} = \\frac12$.", "\\frac{1}{2}"),
        ("The answer is 2\\sqrt{3} which is about 3.46", "2\\sqrt{3}"),
        ("The answer is -3, not 3.", "-3"),
        ("The answer is negative 5", "-5"),
        # Else the one behind its last verb, or the last one before its reasons.
        ("The answer is the sum of 3 and 4, which is 7.", "7"),
        ("It costs $5 and $6, so the total is $11.", "$11"),
        ("We have $a=2$, so the answer is $a^2 = 4$.", "a^2 = 4"),
        ("He sprints 3 times for 60 meters: 540 meters", "540 meters"),
        ("Thus she has 18 eggs left.", "18"),
        ("There are 3 cats.\nSo there are 70 dogs.", "70"),
        # Units, currency, thousands, lists.
        ("The answer is $70.", "$70"),
        ("The answer is 5 cm^2.", "5 cm^2"),
        ("Answer: 1,319 apples in 2 baskets", "1,319"),
        ("The answer is 50%.", "50%"),
        ("Answer: 3, 5, 7", "3, 5, 7"),
        ("Answer: x < 3 or x > 5", "x < 3 or x > 5"),
        # The last announcement counts, and an empty box hides none.
        ("The answer is 12. The answer is 13.", "13"),
        ("\\boxed{}\nAnswer: 70", "70"),
        ("Answer: 70\n\\boxed{ }", "70"),
        ("\\boxed{70}, and so \\boxed{}", "70"),
        # Words.
        ("The answer is Evelyn because she runs.", "Evelyn"),
        ("Thus, Evelyn.", "Evelyn"),
        # Other scripts and languages.
        ("答案是70。", "70"),
        ("答案：７０。", "70"),
        ("答案是70，因为35+35=70。", "70"),
        ("所以一共有70个苹果。", "70"),
        ("La respuesta es 70.", "70"),
        ("Die Antwort ist 70.", "70"),
    ],
)
def test_the_value_that_a_sentence_states(text: str, answer: str) -> None:
    found = final_answer(text)
    assert found is not None and found.text == answer


CHOICES = ["Jupiter", "$3x^2$", "80 km/h", "The piano"]
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
ENDLESS_SHAPES += (
    "(",
    ":",
    "and ",
    "- ",
    "is 7 ",
    "we get ",
    "not A, ",
    "neither A nor ",
    "it is ",
    "no, A ",
    "$5 ",
    "答案",
)


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
