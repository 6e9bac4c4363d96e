r"""What the final answer in a response is.

Looked for in this order: the last box (several, where they are one list), what stands behind the last ``answer is``,
``Answer:`` or ``####``, the whole text where it is no more than an answer, and at last the last expression in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from safetax.evaluation.graders import LONGEST_ANSWER
from safetax.evaluation.graders.braces import closing_braces

How = Literal["boxed", "marked", "whole", "last"]
"""Where an answer was found: in a box, behind a word that announces it, as the whole text, as the last expression."""

_MARK = re.compile(
    r"####|(?:(?:final|correct|right|best)\s+)?(?:answers?|option|choice)\b\s*\**[^\n.:=]{0,60}?(?:\bis\b|\bare\b|[:=])"
    r"[^\S\n]*\**[^\S\n]*:?|^(?:[#*]|[^\S\n])*(?:final\s+)?answer(?:\*|[^\S\n])*$",
    re.IGNORECASE | re.MULTILINE,
)
_CONCLUDING = re.compile(
    r"^\W*(?:therefore|thus|hence|so|i\s+conclude)\b[\s,:]*(?:that\s+)?(?:it\s+is\s+)?"
    r"(?=(?:(?:option|choice)\s+)?\W*[A-J]\W*$)",
    re.IGNORECASE,
)
"""Words before a letter that say no more than that it is the answer."""
_ANOTHER = (
    r"[)\s]*(?:[,;/&]|and\b|or\b)\s*(?:or\s+|and\s+)?(?:(?:option|choice)\s+)?"
    r"\(?[{letters}]\)?\s*(?:$|[.,;)/&]|and\b|or\b)"
)
"""What follows a letter where a second one does: whoever names both settles on neither."""
_NEGATION = re.compile(r"\b(?:not|never|neither|nor|except|cannot|incorrect|wrong)\b|n't\b", re.IGNORECASE)
_OPENING = re.compile(r"\$\$|(?<!\\)\$|\\\(|\\\[")
_CLOSING = {"$$": "$$", "$": "$", "\\(": "\\)", "\\[": "\\]"}
_JOINT = re.compile(r"[\s,;$]*(?:\\[()\[\]])?\s*(?:and|or|\\text\{\s*,?\s*(?:and|or)\s*\})?\s*(?:\\[()\[\]])?[\s$]*")
_NUMBER = r"[-−+]?[$€£]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*/\s*\d+)?(?:\s*\\?%)?|[-−+]?\.\d+"
_LONGEST = 8
"""Words of running text that an answer may have around or instead of an expression."""
_LONGEST_JOINT = 60
"""Characters beyond which what stands between two answers does not make them one list."""
_MARKS = 100
"""Announced choices that are looked at, from the last one back."""


class Span(NamedTuple):
    """A box or a formula in a text: where it begins, where it ends, and what is in it."""

    start: int
    end: int
    content: str


@dataclass(frozen=True)
class Extracted:
    """The final answer, and where it was found."""

    text: str
    how: How


def final_answer(text: str) -> Extracted | None:
    """Return the final answer in a text, or None where nothing in it can be one."""
    found = boxes(text)
    if found:
        inside = _joined(text, found)
        return Extracted(inside, "boxed") if inside else None
    marks = list(_MARK.finditer(text))
    if marks:
        answer = _answer_line(text[marks[-1].end() :])
        if answer:
            return Extracted(answer, "marked")
    stripped = text.strip()
    if "\n" not in stripped and (answer := _answer_line(stripped)) and not marks:
        return Extracted(answer, "whole")
    last = _last_expression(text)
    return Extracted(last, "last") if last else None


def choice(text: str, choices: Sequence[str]) -> Extracted | None:
    """Return the letter of the choice that a text settles on, or None where it settles on none.

    Args:
        text: the answer of the response.
        choices: the texts of A, B, C ..; one of them in place of its letter is understood too.
    """
    letters = "ABCDEFGHIJ"[: len(choices)]
    found = boxes(text)
    candidates: list[tuple[str, How]] = []
    if found:
        candidates.append((found[-1].content[:LONGEST_ANSWER], "boxed"))
    else:
        marks = [mark.end() for mark in _MARK.finditer(text)][: -_MARKS - 1 : -1]
        candidates.extend((_announced(text[end : end + LONGEST_ANSWER], letters), "marked") for end in marks)
        last = text.strip().rpartition("\n")[2]
        candidates.append((_CONCLUDING.sub("", last[:LONGEST_ANSWER]), "whole"))
    for written, how in candidates:
        letter = _letter(written, letters) or _letter_of_text(written, letters, choices)
        letter = letter or (_only_letter(written, letters) if how == "marked" else None)
        if letter:
            return Extracted(letter, how)
    return None


def _joined(text: str, found: Sequence[Span]) -> str:
    """Return what is in the last box, and in those before it that only a comma or an *and* keeps apart from it."""
    first = len(found) - 1
    while first and _joins(text[found[first - 1].end : found[first].start]):
        first -= 1
    return ", ".join(dict.fromkeys(box.content.strip() for box in found[first:] if box.content.strip()))


def _joins(between: str) -> bool:
    """Whether what stands between two answers makes them one list."""
    if len(between) > _LONGEST_JOINT:
        return False
    return re.search(r"[,;]|and|or", between) is not None and _JOINT.fullmatch(between) is not None


def formulas(text: str) -> Iterator[Span]:
    r"""Yield what stands between dollar signs, in ``\(..\)`` and in ``\[..\]``, in its order."""
    position = 0
    without: set[str] = set()
    """What opens a formula and is closed nowhere in the rest of the text."""
    while opening := _OPENING.search(text, position):
        position, closing = opening.start() + 1, _CLOSING[opening[0]]
        if opening[0] in without:
            continue
        # What stands between two dollar signs holds none, and an escaped one closes nothing.
        end = text.find(closing, opening.end() + (closing != "$"))
        if end < 0:
            without.add(opening[0])
        elif closing != "$" or (end > opening.end() and text[end - 1] != "\\"):
            position = end + len(closing)
            yield Span(opening.start(), position, text[opening.end() : end])


def _answer_line(text: str) -> str | None:
    """Return the answer that the first line of a text is, where the line is not much more than an answer."""
    text = text.strip().lstrip("*: ").lstrip()
    display = re.match(r"\\\[(.+?)\\\]|\$\$(.+?)\$\$", text, re.DOTALL)
    if display:
        return (display[1] or display[2]).strip()
    line = text.partition("\n")[0].strip()
    maths = list(formulas(line))
    starts, ends = [span.start for span in maths], [span.end for span in maths]
    outside = " ".join(line[end:start] for end, start in zip([0, *ends], [*starts, len(line)], strict=True))
    words = re.findall(r"(?<![\\A-Za-z{])[A-Za-z]{2,}", outside)
    if maths and (len(words) <= _LONGEST or starts[0] == 0):
        count = 1
        while count < len(maths) and _joins(line[ends[count - 1] : starts[count]]):
            count += 1
        return ", ".join(span.content.strip() for span in maths[:count])
    if not line or len(words) > _LONGEST:
        return None
    line = re.sub(r"\.\s.*$|\.$", "", line).strip().strip("*").strip()
    if len(words) > 2 and "\\" not in line and (numbers := re.findall(_NUMBER, line)):
        return numbers[-1].strip()
    return line or None


def _last_expression(text: str) -> str | None:
    """Return the last formula or number of a text."""
    found: tuple[int, str] | None = None
    for span in formulas(text):
        found = span.end, span.content.strip()
    for match in re.finditer(rf"(?<![\w\\^_{{.])(?:{_NUMBER})(?![\w}}])", text):
        if found is None or match.start() >= found[0]:
            found = match.end(), match[0]
    return found[1] if found else None


def _announced(rest: str, letters: str) -> str:
    """Return the rest of a mark's own line or, where nothing is left of it, the next line unless that begins a list."""
    own, _, below = rest.partition("\n")
    if own.strip(" \t*:") or not below.strip():
        return own.strip()
    lines = [line.strip() for line in below.split("\n") if line.strip()]
    listing = len(lines) > 1 and re.match(rf"[*(]*[{letters}]\s*[).:]", lines[1], re.IGNORECASE) is not None
    return "" if listing else lines[0]


def _letter(written: str, letters: str) -> str | None:
    """Return the letter that a short text is or begins with."""
    text = re.sub(r"\\(?:text|mathrm|textbf|mathbf|boxed)\s*\{|[{}$*]|\\[()\[\]]", "", written).strip()
    match = re.match(rf"(?:(?:option|choice)\s+)?\(?\s*([{letters}])\s*(?:[).:,]|$|\s[-–]\s)", text, re.IGNORECASE)
    if match is None or re.match(_ANOTHER.format(letters=letters), text[match.end(1) :]):
        return None
    return match[1].upper()


def _only_letter(written: str, letters: str) -> str | None:
    """Return the one letter that a sentence names and does not rule out; an *A* before a word is none."""
    sentence = written.split(". ")[0]
    found = set(re.findall(rf"(?<![\w'])(?!A \w)([{letters}])(?![\w'])", sentence))
    return found.pop() if len(found) == 1 and not _NEGATION.search(sentence) else None


def _letter_of_text(written: str, letters: str, choices: Sequence[str]) -> str | None:
    """Return the letter of the only choice that reads as what is written."""
    wanted = _squeezed(written)
    matching = [letter for letter, text in zip(letters, choices, strict=True) if _squeezed(text) == wanted]
    return matching[0] if wanted and len(matching) == 1 else None


def _squeezed(text: str) -> str:
    text = re.sub(r"\\(?:text|mathrm|textbf|mathbf|left|right|,|;|!)|[\s{}$*]|\\[()\[\]]", "", text)
    return text.strip(".").lower()


def boxes(text: str) -> list[Span]:
    r"""Return the boxes of a text whose braces are balanced, in their order; what is inside another is left out.

    Args:
        text: LaTeX, or text with LaTeX in it; ``\{`` and ``\}`` are no braces.
    """
    found: list[Span] = []
    closing: dict[int, int] | None = None
    for match in re.finditer(r"\\(?:boxed|fbox)\s*\{", text):
        if found and match.start() < found[-1].end:
            continue
        if closing is None:
            closing = closing_braces(text, r"\\.|[{}]")
        if (end := closing.get(match.end() - 1)) is not None:
            found.append(Span(match.start(), end + 1, text[match.end() : end]))
    return found
