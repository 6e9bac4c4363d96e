r"""The published way to find an answer in a response, to the letter, oddities included.

The text is the whole response: thinking, markers and answer. What the answer is compared with, and how, stands in
:mod:`safetax.evaluation.judges.paper_grader`.
"""

from __future__ import annotations

import re

from safetax.evaluation.graders import LONGEST_NUMBER
from safetax.evaluation.graders.braces import closing_braces

ANSWER = "<|im_start|>answer\n"
TURN = "<|im_start|>"
_LETTERS = "ABCD"


def extract(text: str) -> str:
    """Return the answer that the published rules find in a response; the text behind its markers if they find none."""
    text = behind_markers(text)
    boxed = blank_box(text)
    if boxed is None:
        boxed = last_box(text)
    if boxed is not None:
        return boxed
    # The dot matches line ends too, so the last match is in effect the first, with all that follows it.
    announced = re.findall(r"(?i)Answer\s*:\s*(.*)", text, re.DOTALL)
    return announced[-1] if announced else text


def behind_markers(text: str) -> str:
    """Return what follows the last marker of an answer, or else of any turn, whose first line names it."""
    if ANSWER in text:
        return text.rsplit(ANSWER, 1)[1]
    if TURN in text:
        rest = text.rsplit(TURN, 1)[1]
        return rest.split("\n", 1)[1] if "\n" in rest else rest
    return text


def blank_box(text: str) -> str | None:
    r"""Return what follows the last ``\boxed`` with a blank behind it, up to the next dollar sign."""
    if "\\boxed " not in text:
        return None
    return text.rsplit("\\boxed ", 1)[1].split("$")[0]


def last_box(text: str) -> str | None:
    r"""Return what is in the last ``\boxed{..}`` whose braces are balanced; every brace counts, and ``\fbox`` never."""
    closing, end = closing_braces(text), len(text)
    while (start := text.rfind("\\boxed{", 0, end)) >= 0:
        opening = start + len("\\boxed")
        if opening in closing:
            return text[opening + 1 : closing[opening]]
        end = start
    return None


def plain_number(text: str) -> str:
    """Return an answer of digits as it is compared, ``023`` as ``23``; any other, or an endless one, as it is."""
    return str(int(text)) if text.isdecimal() and len(text) <= LONGEST_NUMBER else text


def same_integer(gold: str, extracted: str) -> bool | None:
    """Return whether two texts of digits alone are the same number; None where one of them is anything else."""
    if gold.isdecimal() and extracted.isdecimal():
        return plain_number(gold) == plain_number(extracted)
    return None


def letter(extracted: str) -> str | None:
    """Return the choice that an extracted text is, if it is a single letter from A to D."""
    upper = extracted.upper() if extracted in ("a", "b", "c", "d") else extracted
    return upper if len(upper) == 1 and upper in _LETTERS else None
