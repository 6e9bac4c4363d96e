r"""Boxes and formulas in a text: where they begin and end, and what is in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from safetax.evaluation.graders.braces import closing_braces

_OPENING = re.compile(r"\$\$|(?<!\\)\$|\\\(|\\\[")
_CLOSING = {"$$": "$$", "$": "$", "\\(": "\\)", "\\[": "\\]"}
_JOINT = re.compile(r"[\s,;$]*(?:\\[()\[\]])?\s*(?:and|or|\\text\{\s*,?\s*(?:and|or)\s*\})?\s*(?:\\[()\[\]])?[\s$]*")
_LONGEST_JOINT = 60
"""Characters beyond which what stands between two answers does not make them one list."""
_CURRENCY = re.compile(r"\d[\d,.]*\s+(?:[A-Za-z]{2,}|[a-z]\s)")
"""What follows a dollar sign that is one, and opens no formula."""


class Span(NamedTuple):
    """A box or a formula in a text: where it begins, where it ends, and what is in it."""

    start: int
    end: int
    content: str


def joined_boxes(text: str, found: Sequence[Span]) -> str:
    """Return what is in the last box, and in those before it that only a comma or an *and* keeps apart from it."""
    first = len(found) - 1
    while first and joins(text[found[first - 1].end : found[first].start]):
        first -= 1
    return ", ".join(dict.fromkeys(box.content.strip() for box in found[first:] if box.content.strip()))


def joins(between: str) -> bool:
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
        elif closing == "$" and _CURRENCY.match(text, opening.end(), end):
            continue
        elif closing != "$" or (end > opening.end() and text[end - 1] != "\\"):
            position = end + len(closing)
            yield Span(opening.start(), position, text[opening.end() : end])


def boxes(text: str) -> list[Span]:
    r"""Return the boxes of a text that hold something, in their order; what is inside another is left out.

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
        end = closing.get(match.end() - 1)
        if end is not None and text[match.end() : end].strip(" \n$"):
            found.append(Span(match.start(), end + 1, text[match.end() : end]))
    return found
