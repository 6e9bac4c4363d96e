r"""Text in boxes, ``\boxed{..}``: where models put their final answers."""

from __future__ import annotations

import re
from typing import NamedTuple


class Box(NamedTuple):
    """A box in a text: where it begins, where it ends, and what is in it."""

    start: int
    end: int
    content: str


def boxes(text: str, commands: str = "boxed|fbox") -> list[Box]:
    r"""Return the boxes of a text whose braces are balanced, in their order; what is inside another is left out.

    Args:
        text: LaTeX, or text with LaTeX in it.
        commands: names of the commands that make a box, as a regular expression.
    """
    found: list[Box] = []
    for match in re.finditer(rf"\\(?:{commands})\s*\{{", text):
        if found and match.start() < found[-1].end:
            continue
        end = closing_brace(text, match.end() - 1)
        if end is not None:
            found.append(Box(match.start(), end + 1, text[match.end() : end]))
    return found


def closing_brace(text: str, opening: int) -> int | None:
    r"""Return where the brace that opens at ``opening`` closes, or None; ``\{`` and ``\}`` are no braces."""
    depth = 0
    position = opening
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 2
            continue
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return position
        position += 1
    return None
