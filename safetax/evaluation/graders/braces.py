"""Which braces of a text close which, found in one pass over it."""

from __future__ import annotations

import re


def closing_braces(text: str, tokens: str = r"[{}]") -> dict[int, int]:
    r"""Return where each brace that opens is closed, by where it opens; a brace that is not closed is left out.

    Args:
        text: any text.
        tokens: what is read as one; of ``\\.|[{}]``, as LaTeX has it, ``\{`` and ``\}`` are no braces.
    """
    pairs: dict[int, int] = {}
    opened: list[int] = []
    for token in re.finditer(tokens, text, re.DOTALL):
        if token[0] == "{":
            opened.append(token.start())
        elif token[0] == "}" and opened:
            pairs[opened.pop()] = token.start()
    return pairs
