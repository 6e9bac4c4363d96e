r"""Whether an attempt at an answer is the right answer, whatever way either is written.

What has a plain structure is compared here, part by part and exactly: numbers, words, lists, points, intervals, numbers
in a base. Computer algebra decides the rest. It alone would take ``vEelyn`` for ``Evelyn`` (a product of letters), a
point for a set, and ``13_4`` for ``13_5``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from safetax.evaluation.graders import LONGEST_ANSWER
from safetax.evaluation.graders.algebra import Algebra, AnswerAlgebra, Equality
from safetax.evaluation.graders.notation import TEXT, cleaned
from safetax.evaluation.graders.numbers import decimal_places, is_endless, number, other_units, without_unit
from safetax.evaluation.graders.rounding import Rounding, asked_rounding
from safetax.evaluation.graders.structure import (
    as_intervals,
    as_tuple,
    both_signs,
    bracketed,
    last_side,
    named,
    split,
    system,
)

VERSION = 2
"""Raised when other answers are equal, so that no verdict that rests on it is taken for one of the new."""

_BASED = re.compile(r"([\dA-Z]+)\s*_\s*\{?\s*(?:\\text\s*\{)?\s*(\w+)\s*\}*")
_WORDS = re.compile(rf"(?:{TEXT}\{{[^{{}}]*\}}|[A-Za-z]{{3,}}(?:[ -][A-Za-z]+)*)")
_BRACKETS = ("()", "[)", "(]", "[]")


@dataclass(frozen=True)
class _Rules:
    """What decides where the text of two answers does not."""

    algebra: AnswerAlgebra
    rounding: Rounding | None
    in_base: bool
    """Whether the problem speaks of a base, so that a right answer without one may stand in it."""


def equal(gold: str, attempt: str, algebra: Algebra | AnswerAlgebra, problem: str = "") -> Equality:
    r"""Return whether an attempt is the right answer.

    Units, currency, degree signs and the name of a single unknown (``x = 5``) may be there or not, but two known units
    have to be the same; ``10\%`` is taken for 10 and for 0.1. Values are compared exactly, and endless numbers equal
    nothing else. An ordered pair or an interval has its brackets and order; a list or a set has neither.

    Args:
        gold: the right answer.
        attempt: the other one; of more than ``LONGEST_ANSWER`` characters, and more than the right one has, it is
            ``too long``.
        algebra: decides where two expressions may be equal; all parts of an answer share the time for one.
        problem: the problem's text; where it asks for a rounded number, a decimal may be the other value rounded.
    """
    if is_endless(attempt):
        return "equal" if gold == attempt else "different"
    if len(attempt) > max(LONGEST_ANSWER, len(gold)):
        return "too long"
    one = algebra.for_one_answer() if isinstance(algebra, Algebra) else algebra
    return _equal(
        cleaned(gold),
        cleaned(attempt),
        _Rules(one, asked_rounding(problem), re.search(r"\b[Bb]ases?\b", problem) is not None),
    )


def _equal(right: str, tried: str, rules: _Rules) -> Equality:
    if not tried:
        return "unreadable"
    if _tight(right) == _tight(tried):
        return "equal"
    if _WORDS.fullmatch(right):
        return _told(_words(right) == _words(tried))
    if other_units(right, tried):
        return "different"
    right, tried = _as_sets(right, tried)
    right, tried = _unnamed(right, _unwrapped(right, tried))
    if _tight(right) == _tight(tried):
        return "equal"
    if (same := _same_in_base(right, tried, rules.in_base)) is not None:
        return _told(same)
    values = number(right), number(tried)
    if values[0] is not None and values[1] is not None and _same_number(right, tried, values[0], values[1]):
        return "equal"
    if (rounded := _rounded(right, tried, rules)) is not None:
        return rounded
    if values[0] is not None and values[1] is not None:
        return "different"
    if (parts := _parts(right, tried)) is not None:
        return _lists(*parts, rules)
    return rules.algebra.equal(without_unit(right), without_unit(tried))


def _tight(text: str) -> str:
    """Return a text without its spaces, but those between digits."""
    return re.sub(r"(?<!\d) | (?!\d)", "", text)


def _told(same: bool) -> Equality:
    return "equal" if same else "different"


def _same_number(right: str, tried: str, ours: Fraction, theirs: Fraction) -> bool:
    percent = ("%" in tried) != ("%" in right)
    return ours in ({theirs, theirs / 100 if "%" in tried else theirs * 100} if percent else {theirs})


def _rounded(right: str, tried: str, rules: _Rules) -> Equality | None:
    """Return whether one answer is the other rounded as the problem asks; None where it is no question of that."""
    places = decimal_places(right), decimal_places(tried)
    if rules.rounding is None or (places[0] is None) == (places[1] is None):
        return None
    exact, decimal, written = (right, tried, places[1]) if places[0] is None else (tried, right, places[0])
    value = number(decimal)
    if value is None or written is None:
        return None
    magnitude = len(str(int(abs(value)))) - 1 if abs(value) >= 1 else -1
    allowed = rules.rounding.places_of(written, magnitude)
    if allowed is None or value * Fraction(10) ** allowed % 1:
        return None
    answer = rules.algebra.equal(without_unit(exact), without_unit(decimal), allowed)
    return "equal" if answer == "equal" else None


def _same_in_base(right: str, tried: str, in_base: bool) -> bool | None:
    """Return whether numbers with a base are the same, one base perhaps left out; None where none has a base."""
    ours, theirs = _BASED.fullmatch(right), _BASED.fullmatch(tried)
    if not ours and not (theirs and number(right) is not None):
        return None
    digits = [(match[1] if match else text).replace(" ", "") for match, text in ((ours, right), (theirs, tried))]
    return digits[0] == digits[1] and (bool(ours) or in_base) and not (ours and theirs and ours[2] != theirs[2])


def _words(text: str) -> str:
    text = re.sub(TEXT, "", text)
    text = re.sub(r"[^\w\s]|_", " ", text).lower()
    return re.sub(r"^(?:the|an?) ", "", " ".join(text.split()))


def _as_sets(right: str, tried: str) -> tuple[str, str]:
    """Return both with their inequalities as intervals, unless these are of different unknowns."""
    (ours, right_set), (theirs, tried_set) = as_intervals(right), as_intervals(tried)
    return (right, tried) if ours and theirs and ours != theirs else (right_set, tried_set)


def _unwrapped(right: str, tried: str) -> str:
    """Return the attempt without the font or the brackets around all of it, where the right answer has none."""
    if match := re.fullmatch(rf"{TEXT}\{{([^{{}}]*)\}}", tried):
        tried = match[1].strip()
    tried = re.sub(rf"^{TEXT}\{{[^{{}}]*\}}\s*(?=[-+\d\\(])", "", tried)
    brackets, inside = bracketed(tried)
    plain = brackets == "()" and not bracketed(right)[0] and len(split(inside, ",")) == 1
    return inside if plain else tried


def _unnamed(right: str, tried: str) -> tuple[str, str]:
    """Return both without the names of unknowns in front, unless they name different ones."""
    systems = system(right), system(tried)
    if systems[0] and systems[1]:
        same = systems[0].keys() == systems[1].keys()
        return (as_tuple(systems[0]), as_tuple(systems[1])) if same else (right, tried)
    if systems[0] or systems[1]:
        texts = [as_tuple(values) if values else text for values, text in zip(systems, (right, tried), strict=True)]
        return texts[0], texts[1]
    names = named(right), named(tried)
    if names[0] and names[1]:
        return (names[0][1], names[1][1]) if names[0][0] == names[1][0] else (right, tried)
    if names[0] and "=" not in tried:
        return names[0][1], tried
    return (right, last_side(tried)) if "=" not in right and not names[0] else (right, tried)


def _parts(right: str, tried: str) -> tuple[str, list[str], str, list[str]] | None:
    """Return brackets and elements of both, where the right answer is a list of any kind and the attempt may be one."""
    unions = [_union(text) for text in (right, tried)]
    if len(unions[0]) > 1 or len(unions[1]) > 1:
        return ("", unions[0], "", unions[1]) if len(unions[0]) == len(unions[1]) else None
    (brackets, inside), (others, theirs) = bracketed(right), bracketed(tried)
    elements, found = split(inside, ","), split(theirs, ",")
    if brackets in _BRACKETS:
        if len(elements) < 2:
            return None
        return (brackets, elements, others or ("()" if brackets == "()" else ""), found)
    elements, found = both_signs(elements), both_signs(found)
    if len(elements) < 2 and not (len(found) > 1 and others != "()"):
        return None
    if others in ("()", "[]") and system(tried) is None and len(found) > 1:
        return None if others == "[]" else ("", elements, others, found)
    return ("", elements, "", found)


def _union(text: str) -> list[str]:
    r"""Return the intervals that are united by ``\cup``, or by a comma between their brackets."""
    pieces = split(text, r"\cup")
    if len(pieces) == 1:
        listed = split(text, ",")
        intervals = all(
            (bracketed(piece)[0] in _BRACKETS and r"\infty" in piece) or bracketed(piece)[0] in ("[)", "(]")
            for piece in listed
        )
        return listed if len(listed) > 1 and intervals else pieces
    return pieces


def _lists(brackets: str, right: Sequence[str], others: str, tried: Sequence[str], rules: _Rules) -> Equality:
    if not brackets and len(right) == 1:  # several ways to write one value
        return _all(_equal(right[0], theirs, rules) for theirs in dict.fromkeys(tried))
    if brackets != others or len(right) != len(tried):
        return "different"
    if brackets:
        return _all(_equal(ours, theirs, rules) for ours, theirs in zip(right, tried, strict=True))
    left = list(tried)
    worst: Equality = "different"
    for ours in right:
        for theirs in left:
            answer = _equal(ours, theirs, rules)
            if answer == "equal":
                left.remove(theirs)
                break
            worst = answer if answer != "different" else worst
        else:
            return worst
    return "equal"


def _all(answers: Iterable[Equality]) -> Equality:
    """Return the first answer that says anything but equal."""
    for answer in answers:
        if answer != "equal":
            return answer
    return "equal"
