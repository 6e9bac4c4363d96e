"""What rounding a problem asks for: only then is a decimal the value of a number that has no end."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_COUNTS = {word: value for value, word in enumerate(_WORDS)}
_ONES = (
    "whole",
    "integer",
    "unit",
    "number",
    "dollar",
    "degree",
    "percent",
    "inch",
    "foot",
    "mile",
    "second",
    "minute",
)
_NEAREST = {
    **dict.fromkeys(_ONES, 0),
    "tenth": 1,
    "hundredth": 2,
    "thousandth": 3,
    "ten-thousandth": 4,
    "cent": 2,
    "penny": 2,
    "ten": -1,
    "hundred": -2,
    "thousand": -3,
    "million": -6,
}
_COUNT = rf"(\d{{1,2}}|{'|'.join(_COUNTS)})"
_PLACES = re.compile(rf"\b{_COUNT}[ -]+(?:decimal (?:places?|digits?)|decimals?\b|d\.?p\b|digits after the)")
_FIGURES = re.compile(rf"\b{_COUNT}[ -]+significant (?:figures?|digits?)|\b{_COUNT}\s*s\.?f\b")
_TO_THE_NEAREST = re.compile(rf"\bnearest\s+(?:\\?\$)?(0?\.0*1\b|{'|'.join(sorted(_NEAREST, key=len, reverse=True))})")
_AT_ALL = re.compile(
    r"\bround(?:ed|ing)?\s+(?:your|the|off|up|down|to|all|answers?|results?)\b|\bround(?:ed|ing)\b|\bapproximat|\bnearest\b"
    r"|\bestimate\b|\bdecimal (?:places?|approximation)|\\approx"
)
_FEWEST = 2
"""Decimal places that an answer has to have where the problem says no number of them."""


@dataclass(frozen=True)
class Rounding:
    """How a number is to be rounded: to so many decimal places, or significant figures, or as the answer has it."""

    places: int | None = None
    figures: int | None = None

    def places_of(self, written: int, magnitude: int) -> int | None:
        """Return the decimal places to which an exact value may be rounded to be an answer; None: to none.

        Args:
            written: decimals of the answer.
            magnitude: the power of ten of its first digit.
        """
        if self.places is not None:
            return self.places if written <= max(self.places, 0) else None
        if self.figures is not None:
            places = self.figures - 1 - magnitude
            return places if written <= max(places, 0) else None
        return written if written >= _FEWEST else None


def asked_rounding(problem: str) -> Rounding | None:
    """Return the rounding that a problem's text asks for, or None where it asks for none."""
    text = " ".join(problem.lower().split())
    if match := _PLACES.search(text):
        return Rounding(places=_count(match[1]))
    if match := _FIGURES.search(text):
        return Rounding(figures=max(_count(match[1] or match[2]), 1))
    if match := _TO_THE_NEAREST.search(text):
        return Rounding(places=_NEAREST.get(match[1], len(match[1].partition(".")[2])))
    return Rounding() if _AT_ALL.search(text) else None


def _count(word: str) -> int:
    return _COUNTS[word] if word in _COUNTS else int(word)
