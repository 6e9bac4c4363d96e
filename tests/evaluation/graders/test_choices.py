"""Which choice a text settles on: one letter, never the first of two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safetax.evaluation.graders.choices import LETTERS, choice

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
        ("The answer must be B because C and D are not", "B"),
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
        # Two letters are none, however they are joined.
        ("A or B", None),
        ("Answer: A and D", None),
        ("Answer: (A), (C)", None),
        ("The answer is either B or C.", None),
        ("The answer is both A and D.", None),
        ("Answer: A/B", None),
        ("Answer: A, B and C", None),
        ("Answer: A B", None),
        ("Answer: A & C", None),
        ("Answer: B vs C", None),
        ("Answer: A, or possibly B", None),
        ("\\boxed{A/D}", None),
        ("\\boxed{\\text{A and D}}", None),
        ("\\boxed{A}, \\boxed{B}", None),
        ("The correct options are A and B", None),
        ("Answer: A\n\nIn the end the answer is A or B.", None),
        # A letter with reasons, or over others, is that letter.
        ("Answer: B because A is wrong", "B"),
        ("B, since A is too small", "B"),
        ("The answer is B, as C and D are too large.", "B"),
        ("Answer: B rather than A", "B"),
        ("Answer: B instead of D", "B"),
        ("Answer: B over C", "B"),
        ("B, not C", "B"),
        ("Answer: B (A and C are wrong)", "B"),
        ("Answer: B. A is wrong.", "B"),
        ("Answer: B, C is wrong", "B"),
        ("The best answer would be D because A, B, and C are incomplete.", "D"),
        ("not A but C", "C"),
        ("Answer: neither A nor B, but D", "D"),
        ("I would rule out A and B, so the answer is C.", "C"),
        ("neither A nor B", None),
        # A box without a letter hides no answer; one with a letter does.
        ("\\boxed{42}\n\nAnswer: B", "B"),
        ("Answer: B\n\\boxed{42}", "B"),
        ("\\boxed{}\nAnswer: B", "B"),
        ("\\boxed{\\text{done}}\nThe correct answer is (C).", "C"),
        ("Answer: B\n\\boxed{C}", "C"),
        ("\\boxed{A}\nWait. \\boxed{C}", "C"),
        # The last statement counts.
        ("I would choose A. No, wait: C", "C"),
        ("Answer: A\n\nWait, that is wrong.\nAnswer: D", "D"),
        ("The answer is A.\nThe answer is not A.", None),
        ("I'd go with option C.", "C"),
        # However it is written.
        ("The answer is (B) 42", "B"),
        ("**B**", "B"),
        ("$\\boxed{\\textbf{(D)}}$", "D"),
        ("Option b", "B"),
        ("(b)", "B"),
        ("Ｂ", "B"),
        ("答案是B。", "B"),
        ("答案：（Ｂ）", "B"),
        ("Answer: B. The text of choice A", "B"),
        ("Answer: `B`", "B"),
        ("Answer: [B]", "B"),
        # The article, and a list of all choices.
        ("Answer: A lot", None),
        ("A lot of people think so", None),
        ("A) no\nB) no\nC) no\nD) no", None),
    ],
)
def test_the_letter_of_a_choice(text: str, expected: str | None) -> None:
    found = choice(text, CHOICES)
    assert (found and found.text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("The answer is J", "J"), ("I think the answer is I.", "I"), ("Answer: I think so", None), ("Answer: (h)", "H")],
)
def test_the_letter_of_ten_choices(text: str, expected: str | None) -> None:
    found = choice(text, [f"choice number {number}" for number in range(10)])
    assert (found and found.text) == expected


WAYS = (
    "Answer: {}",
    "The answer is ({}).",
    "\\boxed{{{}}}",
    "I choose {}",
    "**{}**",
    "So it is option {}, not {other}",
)
JOINTS = (" or ", " and ", ", ", "/", " & ", ") or (", ", and ", " or maybe ")


@given(st.sampled_from(WAYS), st.permutations(LETTERS))
def test_one_letter_is_that_letter_however_it_is_stated(way: str, letters: list[str]) -> None:
    found = choice(way.format(letters[0], other=letters[1]), [f"choice {number}" for number in range(10)])
    assert found is not None and found.text == letters[0]


@given(st.sampled_from(WAYS[:-1]), st.permutations(LETTERS), st.sampled_from(JOINTS))
def test_two_letters_are_none_however_they_are_joined(way: str, letters: list[str], joint: str) -> None:
    assert choice(way.format(joint.join(letters[:2])), [f"choice {number}" for number in range(10)]) is None
