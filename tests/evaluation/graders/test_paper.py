"""The published extraction, to the letter."""

from __future__ import annotations

import pytest

from safetax.evaluation.graders.paper import extract, letter, plain_number, same_integer

THINK = "Some steps.\n<|im_start|>answer\n"


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
    "shape", ["\\boxed{", "{", "\\boxed ", "answer ", "Answer:", "<|im_start|>", "<|im_start|>answer\n"]
)
def test_the_work_grows_with_the_text_and_not_with_its_square(shape: str) -> None:
    """Work that grows with the square would be done in hours."""
    text = shape * (300_000 // len(shape))
    assert extract(f"{text}\nso {THINK}\\boxed{{5}}") == "5"
    extract(text)
