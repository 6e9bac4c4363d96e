"""The exact value of a number, however it is written, and the unit behind it."""

from __future__ import annotations

import re
from fractions import Fraction

from safetax.evaluation.graders import LONGEST_NUMBER
from safetax.evaluation.graders.notation import TEXT

PLAIN = re.compile(r"[-+]?(?:\d{1,3}(?:[, ]\d{3})+(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)")
"""A whole number or a decimal, with or without groups of thousands."""
_DIGITS = re.compile(r"\d(?:[, ]?\d)*")
"""A number's digits, however they are grouped."""
_RATIO = re.compile(r"([-+]?)\s*(?:(\d+)\s+)?(\d+(?:,\d{3})*)\s*/\s*(\d+(?:,\d{3})*)")
_FRACTION = re.compile(r"([-+]?)\s*(\d+)?\s*\\frac\{\s*([-+]?[\d.,]+)\s*\}\s*\{\s*([-+]?[\d.,]+)\s*\}")
_SCIENTIFIC = re.compile(
    r"([-+]?[\d.]+)\s*(?:(?:\\times|\\cdot|\*|x)\s*10\s*\^\s*(?:\{\s*([-+]?\d+)\s*\}|([-+]?\d+))|[eE]([-+]?\d+))"
)
_REPEATING = re.compile(
    r"([-+]?)(\d*)\.(\d*)(?:\\(?:overline|bar|dot|overbrace)\s*\{?\s*(\d+)\s*\}?|\((\d+)\)|(?:\.\.\.|\\[lc]?dots)\s*)"
)
_POWER = r"(?:\s*\^\s*(?:\{\s*-?\d\s*\}|-?\d))?"
_SPELLINGS = {
    "km": "km kilometer kilometers kilometre kilometres",
    "m": "m meter meters metre metres",
    "cm": "cm centimeter centimeters centimetre centimetres",
    "mm": "mm millimeter millimeters",
    "in": "in inch inches",
    "ft": "ft foot feet",
    "yd": "yd yard yards",
    "mi": "mi mile miles",
    "kg": "kg kilogram kilograms",
    "g": "g gram grams",
    "lb": "lb lbs pound pounds",
    "oz": "oz ounce ounces",
    "s": "s sec second seconds",
    "min": "min minute minutes",
    "h": "h hr hrs hour hours",
    "day": "day days",
    "week": "week weeks",
    "year": "year years",
    "ct": "cent cents",
    "usd": "dollar dollars usd",
    "deg": "degree degrees deg",
    "rad": "radian radians rad",
}
_UNITS = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_BESIDE = "mph|kmh|kph|mL|ml|Hz|kHz|MHz|USD|EUR|kW|MW|kN|kJ|mg|sq"
_KNOWN = "|".join(sorted((name for name in (*_UNITS, *_BESIDE.split("|")) if len(name) > 1), key=len, reverse=True))
_NAME = (
    rf"(?:{_KNOWN}|(?!(?:sin|cos|tan|cot|sec|csc|log|exp|mod|sqrt|and)\b)[A-Z]?[a-z]{{3,}}|[mgshLNJWVKCF])\b\.?{_POWER}"
)
_VALUE = r"[-+]?[\d.,/ ]*\d|.*[)}\d]|.*\\pi"
_PLAIN_UNIT = re.compile(
    rf"(?P<value>{_VALUE})(?P<unit>(?:\s+{_NAME}|\s*(?:{_KNOWN})\b\.?{_POWER})"
    rf"(?:\s*(?:/|-|\\cdot|\s)\s*{_NAME})*)"
)
_TEXT_UNIT = re.compile(rf"(?P<value>.*\S)\s*{TEXT}\{{(?P<unit>[^{{}}]*)\}}{_POWER}")


def is_endless(text: str) -> bool:
    """Whether a text has a number too long to be one."""
    longest = max((match.end() - match.start() for match in _DIGITS.finditer(text)), default=0)
    return longest > LONGEST_NUMBER and any(
        len(re.sub("[, ]", "", match[0])) > LONGEST_NUMBER for match in _DIGITS.finditer(text)
    )


def number(text: str) -> Fraction | None:
    r"""Return the exact value of a number: ``1,319``, ``2\frac{1}{2}``, ``3/4``, ``5 cm``, ``0.\overline{3}``.

    A text of more than ``LONGEST_NUMBER`` characters is none.

    Args:
        text: in one notation (see :mod:`safetax.evaluation.graders.notation`).
    """
    if len(text) > LONGEST_NUMBER:
        return None
    text = without_unit(text).replace("\\%", "").replace("%", "").strip()
    text = re.sub(r"^([-+]?)\s*\{(.*)\}$", r"\1\2", text).strip()
    text = re.sub(r"^([-+])\s+(?=[\d.\\])", r"\1", text)
    if PLAIN.fullmatch(text):
        return Fraction(re.sub(r"[, ]", "", text))
    if match := _RATIO.fullmatch(text):
        return _signed(match[1], match[2], match[3].replace(",", ""), match[4].replace(",", ""))
    if match := _SCIENTIFIC.fullmatch(text):
        power = int(match[2] or match[3] or match[4])
        return Fraction(match[1]) * Fraction(10) ** power if abs(power) < 1000 and PLAIN.fullmatch(match[1]) else None
    if match := _FRACTION.fullmatch(text):
        above, below = match[3], match[4]
        if PLAIN.fullmatch(above) and PLAIN.fullmatch(below):
            return _signed(match[1], match[2], above.replace(",", ""), below.replace(",", ""))
    return _repeating(text)


def decimal_places(text: str) -> int | None:
    """Return how many decimals a whole number or a terminating decimal is written with; None for any other value."""
    text = without_unit(text).replace("\\%", "").replace("%", "").strip().removesuffix("...")
    return len(text.partition(".")[2]) if PLAIN.fullmatch(text) else None


def without_unit(text: str) -> str:
    r"""Return an answer without the unit behind it: ``5 \text{ cm}^2``, ``12 square feet``, ``5 km/h``."""
    match = _TEXT_UNIT.fullmatch(text) or _PLAIN_UNIT.fullmatch(text)
    return match["value"].strip() if match else text


def other_units(one: str, other: str) -> bool:
    """Whether two answers both name a unit, and known ones that are not the same: ``5 km`` and ``5 m``."""
    names = [_unit(text) for text in (one, other)]
    return None not in names and names[0] != names[1]


def _unit(text: str) -> tuple[str, ...] | None:
    """Return the known units that an answer names, in their order; None where it names none, or an unknown one."""
    match = _TEXT_UNIT.fullmatch(text) or _PLAIN_UNIT.fullmatch(text)
    words = re.findall(r"[A-Za-z]+", match["unit"]) if match else []
    words = [word.lower() for word in words if word.lower() not in ("square", "sq", "cubic", "per", "of")]
    return tuple(_UNITS[word] for word in words) if words and all(word in _UNITS for word in words) else None


def _signed(sign: str, whole: str | None, above: str, below: str) -> Fraction | None:
    if not Fraction(below):
        return None
    value = Fraction(whole or 0) + Fraction(above) / Fraction(below)
    return -value if sign == "-" else value


def _repeating(text: str) -> Fraction | None:
    r"""Return the value of a decimal that repeats: ``0.1\overline{6}``, ``0.(3)``, ``0.333...``."""
    match = _REPEATING.fullmatch(text)
    if match is None:
        return None
    sign, whole, fixed, *marked = match.groups()
    block = marked[0] or marked[1]
    if block is None:
        tail = re.fullmatch(r"(\d*?)(\d|\d{2,6}?)\2+", fixed)
        if tail is None or len(fixed) - len(tail[1]) < 3:
            return None
        fixed, block = tail[1], tail[2]
    value = Fraction(int(whole or 0)) + Fraction(int(fixed or 0), 10 ** len(fixed))
    value += Fraction(int(block), (10 ** len(block) - 1) * 10 ** len(fixed))
    return -value if sign == "-" else value
