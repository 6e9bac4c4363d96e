r"""Whether an attempt at an answer is the right answer, whatever way either is written.

What has a plain structure is compared here, part by part and exactly: numbers, words, lists, points, intervals, numbers
in a base. Computer algebra decides the rest. It alone would take ``vEelyn`` for ``Evelyn`` (a product of letters), a
point for a set, and ``13_4`` for ``13_5``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction

from safetax.evaluation.graders import LONGEST_ANSWER, LONGEST_NUMBER
from safetax.evaluation.graders.algebra import Algebra, AnswerAlgebra, Equality

_PLAIN = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "×": r"\times ",
        "·": r"\cdot ",
        "π": r"\pi ",
        "∞": r"\infty ",
        "≤": r"\le ",
        "≥": r"\ge ",
        "∪": r"\cup ",
        "∈": r"\in ",
        "±": r"\pm ",
        "°": "",
        "\u00a0": " ",
        "\u2009": " ",
        "\u202f": " ",
        "½": r"\frac{1}{2}",
    }
)
_REWRITTEN = (
    (r"(?<!\\)\$|\\[()\[\]](?![^\n]*\\end)", ""),
    (r"\\\$|[€£¥]", ""),
    (r"\\(?:left|right|[Bb]igg?[lr]?|displaystyle|limits|qquad|quad)(?![A-Za-z])", " "),
    (r",\\!\s*(?=\d)", ","),
    (r"(?<!\\)\\[!,;:]|\{,\}(?=\d)", lambda match: "," if match[0] == "{,}" else " "),
    (r"(?<!\\)\\ |~", " "),
    (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
    (r"\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degree(?![A-Za-z])", ""),
    (r"\\(?:leq|leqslant)(?![A-Za-z])", r"\\le"),
    (r"\\(?:geq|geqslant)(?![A-Za-z])", r"\\ge"),
    (r"<=", r"\\le "),
    (r">=", r"\\ge "),
    (r"√\s*\(?(\w+)\)?", r"\\sqrt{\1}"),
    (r"(?<![\\A-Za-z])sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
    (r"(?<![\\A-Za-z])(pi|infty|cup)(?![A-Za-z])", r"\\\1 "),
    (r"(?<![\\A-Za-z])(?:infinity|inf|oo)(?![A-Za-z])", r"\\infty "),
    (r"\{([bvB])matrix\}", "{pmatrix}"),
    (r"\\(?:text|mbox|textrm)\s*\{\s*,?\s*(?:and|or)\s*\}|(?<=[\s\d)}\]])\b(?:and|or)\b(?=[\s\\(\d-])", ","),
    (r"\s+", " "),
    (r",\s*,", ","),
)
_TEXT = r"\\(?:text|mbox|mathrm|textrm|textbf|mathbf|operatorname|textit)(?![A-Za-z])\s*"
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:[, ]\d{3})+(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)")
_DIGITS = re.compile(r"\d(?:[, ]?\d)*")
"""A number's digits, however they are grouped."""
_PART = r"\{\s*(-?[\d.]+)\s*\}|\s*(\d)"
_FRACTION = re.compile(rf"([-+]?)\s*(\d+)?\s*\\frac(?:{_PART})(?:{_PART.replace('(-?', '(')})")
_SCIENTIFIC = re.compile(r"([-+]?[\d.]+)\s*(?:\\times|\\cdot|\*|x)\s*10\s*\^\s*(?:\{\s*([-+]?\d+)\s*\}|(\d))")
_BASED = re.compile(r"([\dA-Z]+)\s*_\s*\{?\s*(?:\\text\s*\{)?\s*(\w+)\s*\}*")
_NAMED = re.compile(r"([A-Za-z](?:_\{?\w+\}?)?(?:\([a-z]\))?)\s*(?:=|\\in(?![A-Za-z]))\s*([^=]+)")
_WORDS = re.compile(rf"(?:{_TEXT}\{{[^{{}}]*\}}|[A-Za-z]{{3,}}(?:[ -][A-Za-z]+)*)")


def equal(gold: str, attempt: str, algebra: Algebra | AnswerAlgebra) -> Equality:
    r"""Return whether an attempt is the right answer.

    Units, currency, degree signs and the name of a single unknown (``x = 5``) may be there or not; ``10\%`` is taken
    for 10 and for 0.1. Numbers are compared exactly, and endless ones are equal to nothing else. An ordered pair or an
    interval has its brackets and order; a list or a set has neither.

    Args:
        gold: the right answer.
        attempt: the other one; of more than ``LONGEST_ANSWER`` characters, and more than the right one has, it is
            ``too long``.
        algebra: decides where two expressions may be equal; all parts of an answer share the time for one.
    """
    if _is_endless(attempt):
        return "equal" if gold == attempt else "different"
    if len(attempt) > max(LONGEST_ANSWER, len(gold)):
        return "too long"
    return _equal(gold, attempt, algebra.for_one_answer() if isinstance(algebra, Algebra) else algebra)


def _is_endless(text: str) -> bool:
    """Whether a text has a number too long to be one."""
    longest = max((match.end() - match.start() for match in _DIGITS.finditer(text)), default=0)
    return longest > LONGEST_NUMBER and any(
        len(re.sub("[, ]", "", match[0])) > LONGEST_NUMBER for match in _DIGITS.finditer(text)
    )


def _equal(gold: str, attempt: str, algebra: AnswerAlgebra) -> Equality:
    right, tried = cleaned(gold), cleaned(attempt)
    if not tried:
        return "unreadable"
    if right.replace(" ", "") == tried.replace(" ", ""):
        return "equal"
    if _WORDS.fullmatch(right):
        return _told(_words(right) == _words(tried))
    right, tried = _unnamed(right, _unwrapped(right, tried))
    if (same := _same_in_base(right, tried)) is not None:
        return _told(same)
    values = number(right), number(tried)
    if values[0] is not None and values[1] is not None:
        percent = ("%" in tried) != ("%" in right)
        either = {values[1], values[1] / 100 if "%" in tried else values[1] * 100} if percent else {values[1]}
        return _told(values[0] in either)
    if (parts := _parts(right, tried)) is not None:
        return _lists(*parts, algebra)
    return algebra.equal(without_units(right), without_units(tried))


def cleaned(text: str) -> str:
    """Return an answer without what only shapes it: dollar signs, spacing, sizes of brackets, degrees, a full stop."""
    text = text.translate(_PLAIN)
    for pattern, put in _REWRITTEN:
        text = re.sub(pattern, put, text)
    text = text.strip().strip("*").strip()
    return re.sub(r"(?<=[^.])\.$|^[:=]\s*|[;,]$", "", text).strip()


def number(text: str) -> Fraction | None:
    r"""Return the exact value of a number, however written: ``1,319``, ``2\frac{1}{2}``, ``3/4``, ``5 cm``.

    A text of more than ``LONGEST_NUMBER`` characters is none.
    """
    if len(text) > LONGEST_NUMBER:
        return None
    text = without_units(text).replace("\\%", "").replace("%", "").strip()
    text = re.sub(r"^([-+]?)\s*\{(.*)\}$", r"\1\2", text).strip()
    if _NUMBER.fullmatch(text):
        return Fraction(re.sub(r"[, ]", "", text))
    if match := re.fullmatch(r"([-+]?\d+)\s*/\s*(\d+)", text):
        return Fraction(int(match[1]), int(match[2])) if int(match[2]) else None
    if match := _SCIENTIFIC.fullmatch(text):
        power = int(match[2] or match[3])
        return Fraction(match[1]) * Fraction(10) ** power if abs(power) < 1000 and _NUMBER.fullmatch(match[1]) else None
    if match := _FRACTION.fullmatch(text):
        sign, whole, *parts = match.groups()
        above, below = (next(part for part in pair if part is not None) for pair in (parts[:2], parts[2:]))
        if not (_NUMBER.fullmatch(above) and _NUMBER.fullmatch(below)) or not Fraction(below):
            return None
        value = Fraction(whole or 0) + Fraction(above) / Fraction(below)
        return -value if sign == "-" else value
    return None


def without_units(text: str) -> str:
    r"""Return an answer without the unit behind it: ``5 \text{ cm}^2``, ``12 square feet``."""
    power = r"(?:\s*\^\s*(?:\{\s*-?\d\s*\}|\d))?"
    text = re.sub(rf"(?<=\S)\s*{_TEXT}\{{[^{{}}]*\}}{power}$", "", text)
    return re.sub(rf"^([-+]?[\d.,/ ]*\d)\s*(?:(?:[a-z]{{2,}}|[A-Z][a-z]{{2,}}|[mgsh])\b\.?\s*)+{power}$", r"\1", text)


def _told(same: bool) -> Equality:
    return "equal" if same else "different"


def _same_in_base(right: str, tried: str) -> bool | None:
    """Return whether numbers with a base are the same, one base perhaps left out; None where none has a base."""
    ours, theirs = _BASED.fullmatch(right), _BASED.fullmatch(tried)
    if not ours and not (theirs and number(right) is not None):
        return None
    digits = [(match[1] if match else text).replace(" ", "") for match, text in ((ours, right), (theirs, tried))]
    return digits[0] == digits[1] and not (ours and theirs and ours[2] != theirs[2])


def _words(text: str) -> str:
    text = re.sub(_TEXT, "", text)
    text = re.sub(r"[^\w\s]|_", " ", text).lower()
    return " ".join(text.split()).removeprefix("the ")


def _unwrapped(right: str, tried: str) -> str:
    """Return the attempt without the font or the brackets around all of it, where the right answer has none."""
    if match := re.fullmatch(rf"{_TEXT}\{{([^{{}}]*)\}}", tried):
        tried = match[1].strip()
    brackets, inside = bracketed(tried)
    plain = brackets == "()" and not bracketed(right)[0] and len(split(inside, ",")) == 1
    return inside if plain else tried


def _unnamed(right: str, tried: str) -> tuple[str, str]:
    """Return both without the name of the unknown in front, unless they name different ones."""
    names = _NAMED.fullmatch(right), _NAMED.fullmatch(tried)
    if names[0] and names[1]:
        return (names[0][2].strip(), names[1][2].strip()) if names[0][1] == names[1][1] else (right, tried)
    if names[0] and "=" not in tried:
        return names[0][2].strip(), tried
    if names[1] and "=" not in right:
        return right, names[1][2].strip()
    return right, tried


def _parts(right: str, tried: str) -> tuple[str, list[str], str, list[str]] | None:
    """Return brackets and elements of both, where the right answer is a list of any kind and the attempt may be one."""
    unions = [split(text, r"\cup") for text in (right, tried)]
    if len(unions[0]) > 1:
        return ("", unions[0], "", unions[1])
    (brackets, inside), (others, theirs) = bracketed(right), bracketed(tried)
    elements, found = split(inside, ","), split(theirs, ",")
    if brackets in ("()", "[)", "(]", "[]"):
        if len(elements) < 2 or re.search(r"[<>]|\\[lg][et](?![A-Za-z])|\\cup", tried):
            return None
        return (brackets, elements, others or ("()" if brackets == "()" else ""), found)
    elements, found = _both_signs(elements), _both_signs(found)
    if len(elements) < 2 and not (len(found) > 1 and others != "()"):
        return None
    return ("", elements, "", found)


def _lists(brackets: str, right: Sequence[str], others: str, tried: Sequence[str], algebra: AnswerAlgebra) -> Equality:
    if not brackets and len(right) == 1:  # several ways to write one value
        return _all(_equal(right[0], theirs, algebra) for theirs in dict.fromkeys(tried))
    if brackets != others or len(right) != len(tried):
        return "different"
    if brackets:
        return _all(_equal(ours, theirs, algebra) for ours, theirs in zip(right, tried, strict=True))
    left = list(tried)
    worst: Equality = "different"
    for ours in right:
        for theirs in left:
            answer = _equal(ours, theirs, algebra)
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


def _both_signs(elements: Sequence[str]) -> list[str]:
    r"""Return the elements with each ``\pm`` as two."""
    spread = []
    for element in elements:
        one = element.count(r"\pm") == 1
        spread += [element.replace(r"\pm", sign).strip().removeprefix("+") for sign in "+-"] if one else [element]
    return spread


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
    if _NUMBER.fullmatch(text) and separator == ",":
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
