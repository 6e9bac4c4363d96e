r"""The structure of an answer: brackets, lists, unions, names of unknowns, and intervals written as inequalities."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from safetax.evaluation.graders.numbers import PLAIN, number

_NAME = r"(?:[A-Za-z]|\\(?!pi\b)[a-z]{2,7})(?:_\{?\w+\}?)?'?(?:\(\s*\w\s*\))?"
_NAMES = re.compile(rf"{_NAME}|\(\s*{_NAME}(?:\s*,\s*{_NAME})+\s*\)")
_BELONGS = re.compile(rf"(?P<name>{_NAME})\s*\\in(?![a-z])\s*(?P<set>[^=]+)")
_RELATION = re.compile(r"\\(?:le|ge|ne)(?![a-z])|<|>")
_BUILDER = re.compile(
    r"\\\{\s*(?:\w|\\[a-z]+)\s*(?:\\in\s*\\mathbb\{R\}\s*)?(?:\\mid|\\vert|\||:)\s*(?P<condition>.+?)\s*\\\}"
)
_WITHOUT = re.compile(r"\\mathbb\{R\}\s*(?:\\setminus|-)\s*\\\{(?P<points>[^{}]+)\\\}")
_BELOW, _ABOVE = r"-\infty", r"\infty"


class Interval(NamedTuple):
    """Ends of an interval with the brackets that say whether they belong to it."""

    left: str
    low: str
    high: str
    right: str


def bracketed(text: str) -> tuple[str, str]:
    r"""Return the brackets around the whole of a text and what is inside them; braces are ``\{..\}`` here."""
    text = text.strip()
    if text.startswith(r"\{") and text.endswith(r"\}") and r"\}" not in text[2:-2]:
        return "{}", text[2:-2].strip()
    if len(text) > 1 and text[0] in "([" and text[-1] in ")]":
        depth = 0
        for position, character in enumerate(text):
            depth += (character in "([") - (character in ")]")
            if depth == 0:
                return (text[0] + text[-1], text[1:-1].strip()) if position == len(text) - 1 else ("", text)
    return "", text


def split(text: str, separator: str) -> list[str]:
    """Return the parts of a text between separators that stand in no brackets and no environment."""
    if PLAIN.fullmatch(text) and separator == ",":
        return [text]
    parts, depth, start, position = [], 0, 0, 0
    while position < len(text):
        if text.startswith((r"\begin{", r"\end{"), position):
            depth += 1 if text.startswith(r"\begin{", position) else -1
        if depth == 0 and text.startswith(separator, position):
            parts.append(text[start:position].strip())
            start = position = position + len(separator)
            continue
        depth += (text[position] in "([{") - (text[position] in ")]}")
        position += 1
    return [*parts, text[start:].strip()]


def named(text: str) -> tuple[str, str] | None:
    r"""Return the name and the value of ``x = 5``, ``5 = x``, ``x = 35 \cdot 2 = 70`` or ``x \in [1,2]``, or None."""
    if match := _BELONGS.fullmatch(text):
        return _squeezed(match["name"]), match["set"].strip()
    if sum("=" in part for part in split(text, ",")) > 1:
        return None
    sides = split(text, "=")
    if len(sides) > 1 and _NAMES.fullmatch(sides[0]):
        return _squeezed(sides[0]), sides[-1]
    if len(sides) == 2 and _NAMES.fullmatch(sides[1]):
        return _squeezed(sides[1]), sides[0]
    return None


def last_side(text: str) -> str:
    """Return what a chain of equations ends with; the whole text where it is none, or several."""
    if sum("=" in part for part in split(text, ",")) > 1:
        return text
    return (named(text) or ("", split(text, "=")[-1]))[1]


def system(text: str) -> dict[str, str] | None:
    """Return the values of unknowns by their names, as in ``x = 3, y = 4`` or ``(x, y) = (3, 4)``, or None."""
    one = named(text)
    if one and one[0].startswith("("):
        pairs = list(zip(split(one[0][1:-1], ","), split(bracketed(one[1])[1], ","), strict=False))
        same_length = len(split(one[0][1:-1], ",")) == len(split(bracketed(one[1])[1], ","))
        return dict(pairs) if same_length and len(dict(pairs)) == len(pairs) else None
    found = [named(part) for part in split(text, ",")]
    values = dict(pair for pair in found if pair)
    return values if len(found) > 1 and len(values) == len(found) else None


def as_tuple(values: dict[str, str]) -> str:
    """Return the values of unknowns as an ordered tuple, in the order of their names."""
    return f"({', '.join(values[name] for name in sorted(values))})"


def both_signs(elements: Sequence[str]) -> list[str]:
    r"""Return the elements with each ``\pm`` as two."""
    spread = []
    for element in elements:
        one = element.count(r"\pm") == 1
        spread += [element.replace(r"\pm", sign).strip().removeprefix("+") for sign in "+-"] if one else [element]
    return spread


def as_intervals(text: str) -> tuple[str | None, str]:
    r"""Return the unknown of inequalities and the intervals that they say; of any other text, None and the text.

    ``1 \le x < 2`` is ``x`` and ``[1,2)``, ``x < 1 , x > 2`` two intervals with ``\cup`` between them, and a set that
    is written by such a condition, or as the real numbers without some, is the same.
    """
    if match := _BUILDER.fullmatch(text):
        text = match["condition"]
    elif match := _WITHOUT.fullmatch(text):
        return None, _joined(_between(split(match["points"], ","))) or text
    elif text == r"\mathbb{R}":
        return None, f"({_BELOW},{_ABOVE})"
    if not _RELATION.search(text):
        return None, text
    unknowns: set[str] = set()
    found: list[Interval] = []
    for part in split(text, ","):
        sides, signs = _RELATION.split(part), _RELATION.findall(part)
        read = _inequality([side.strip() for side in sides], signs)
        if read is None:
            return None, text
        unknowns.add(read[0])
        found += read[1]
    if len(unknowns) != 1:
        return None, text
    return unknowns.pop(), _joined(_met(found)) or text


def _inequality(sides: list[str], signs: list[str]) -> tuple[str, list[Interval]] | None:
    """Return the unknown of one inequality, or of two in a chain, and its intervals."""
    if len(sides) == 2:
        if not _is_unknown(sides[0], sides[1]):
            if not _is_unknown(sides[1], sides[0]):
                return None
            sides, signs = sides[::-1], [_FLIPPED[signs[0]]]
        unknown, bound = sides
        if signs == [r"\ne"]:
            return unknown, _between([bound])
        if signs[0] in ("<", r"\le"):
            return unknown, [Interval("(", _BELOW, bound, _END[signs[0]])]
        return unknown, [Interval(_START[signs[0]], bound, _ABOVE, ")")]
    if len(sides) != 3 or not (_is_unknown(sides[1], sides[0]) and _is_unknown(sides[1], sides[2])):
        return None
    if all(sign in (">", r"\ge") for sign in signs):
        sides, signs = sides[::-1], [_FLIPPED[sign] for sign in signs[::-1]]
    if not all(sign in ("<", r"\le") for sign in signs):
        return None
    low, unknown, high = sides
    return unknown, [Interval(_START[_FLIPPED[signs[0]]], low, high, _END[signs[1]])]


_FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le", r"\ne": r"\ne"}
_START = {">": "(", r"\ge": "["}
_END = {"<": ")", r"\le": "]"}


def _is_unknown(name: str, bound: str) -> bool:
    return (
        bool(bound)
        and bool(re.fullmatch(_NAME, name))
        and re.search(rf"(?<![A-Za-z\\]){re.escape(name)}(?![A-Za-z])", bound) is None
    )


def _between(points: Sequence[str]) -> list[Interval]:
    """Return all numbers but some, as intervals; nothing where their order is not known."""
    values = {point: number(point) for point in points}
    if len(points) > 1 and None in values.values():
        return []
    ordered = sorted(points, key=lambda point: values[point] or 0)
    ends = [_BELOW, *ordered, _ABOVE]
    return [Interval("(", low, high, ")") for low, high in itertools.pairwise(ends)]


def _met(found: list[Interval]) -> list[Interval]:
    """Return two rays that face each other as the interval that they share: ``x > 1 and x < 2`` is that."""
    if len(found) != 2 or {interval.low for interval in found} >= {_BELOW, _ABOVE}:
        return found
    above = [interval for interval in found if interval.high == _ABOVE and interval.low != _BELOW]
    below = [interval for interval in found if interval.low == _BELOW and interval.high != _ABOVE]
    if len(above) != 1 or len(below) != 1:
        return found
    low, high = number(above[0].low), number(below[0].high)
    apart = found[0] is below[0] if low is None or high is None else high <= low
    return found if apart else [Interval(above[0].left, above[0].low, below[0].high, below[0].right)]


def _joined(intervals: Sequence[Interval]) -> str:
    return r"\cup ".join(f"{left}{low},{high}{right}" for left, low, high, right in intervals)


def _squeezed(name: str) -> str:
    return re.sub(r"[\s{}]", "", name)
