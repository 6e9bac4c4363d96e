r"""Which value a sentence states.

The one that it begins with, up to its first word of prose (``70, which equals 35*2``, ``70 (since 35 + 35 = 70)``);
else the one behind its last *is*, *get* or the like; else the last one in it. A formula counts as one sign of the text.
"""

from __future__ import annotations

import re

from safetax.evaluation.graders import LONGEST_ANSWER
from safetax.evaluation.graders.spans import formulas

_FIRST = 0xF0000
_FORMULA = f"[{chr(_FIRST)}-{chr(0xFFFFD)}]"
"""Signs of no script, which stand in a text for its formulas."""
_MATHS = (
    r"sqrt|pi|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|log|ln|exp|mod|and|or|inf|infty|infinity|cm|mm|km|kg|mg|ft|mph|base"
    r"|square|units?|inch|inches|feet|meters?|centimeters?|miles?|degrees?|percent|cents?|dollars?|hours?|minutes?|seconds?|days?"
)
_PROSE = re.compile(
    rf"(?<![\\A-Za-z{{])(?!(?:{_MATHS})(?![A-Za-z]))[A-Za-z][A-Za-z'’]+(?![A-Za-z(])"
    r"|\b[IAa]\b(?=\s+[A-Za-z]{2,})|[^\W\d_a-zA-Zα-ωΑ-Ω\u2100-\u214f]"
)
"""A word, or a letter of a script that mathematics does not use."""
_FILLERS = re.compile(
    r"(?:\W*?\b(?:therefore|thus|hence|so|then|now|finally|simply|just|exactly|indeed|clearly|approximately|about|roughly"
    r"|equals?(?:\s+to)?|i|we|you|they|he|she|it|that|this|there|here|s|the|an?|must|be|is|are|get|gets|got|have|has|had|obtain|find|found|conclude"
    r"|value|values|number|answer|total|result|only|given\s+by|final)\b[\s,:*]*)+",
    re.IGNORECASE,
)
_OPENS = rf"(?=[-−+($€£\\.]{{0,3}}(?:\d|{_FORMULA}|\\[a-z]|[a-z]\s*=))"
_STATES = re.compile(
    r"\b(?:is|are|be|was|were|equals?|get|gets|got|have|has|had|obtain|gives?|yields?|makes?|find|becomes?|leaves?|needs?|costs?"
    r"|totals?|earns?|spends?|pays?|takes?)\b"
    r"(?:\s+(?:to|of|that|then|thus|therefore|exactly|only|an?|the|total|about|simply|remainder|sum|him|her|them|us))*[\s:*]*"
    + _OPENS,
    re.IGNORECASE,
)
_EQUALS = re.compile(rf"[=→⇒∴:]\s*{_OPENS}")
_REASON = re.compile(
    r"[\s,(](?:because|since|given\s+that|due\s+to|when|where|if|attained|achieved|reached|occurring|not|rather\s+than"
    r"|instead\s+of)\b",
    re.IGNORECASE,
)
_BECAUSE = re.compile(r"[\s,(](?:because|since|given\s+that|due\s+to)\b", re.IGNORECASE)
_SO = re.compile(r"[\s,](?:so|therefore|thus|hence)\s", re.IGNORECASE)
_GOES_ON = re.compile(r"(?:of|divided|times|plus|minus|multiplied|more|less)\b.*\d")
"""What makes the number before it a part of the sum, and not its value."""
_END = re.compile(r"(?<!\b[A-Z])(?:[.?](?=\s|$|[^\x00-\x7f])|(?<!\\)!+(?=\s*$|\s+[A-Z]))")
_TERM = _FORMULA + r"|[-−+]?[$€£]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*\\?%)?|[-−+]?\.\d+"
_RUN = re.compile(
    rf"(?<![A-Za-z0-9_\\^{{.])(?:{_TERM})(?:\s*(?:[-−+*/^×÷·=,]|and\b|or\b)\s*(?:{_TERM}))*(?![A-Za-z0-9}}])"
)
_DANGLING = re.compile(r"(?:\b(?:and|or)|\s-)\Z")
_MOST_WORDS = 8
"""Words that an answer may have that is no value."""
_MOST_LINES = 50
"""Lines that are looked at from the last one back."""
_LONGEST_TEXT = 100_000
"""Characters of a text, from the last one back, in which a sentence is looked for."""


def stated(text: str) -> str | None:
    """Return what the first sentence of a text states: a value or, where it has none, the few words that it is."""
    masked, contents = _masked(text[: 4 * LONGEST_ANSWER].strip().lstrip("*: ").lstrip())
    first = next(iter(_sentences(masked.partition("\n")[0])), "")
    if value := _value(first):
        return value.translate(contents)
    words = _BECAUSE.split(first, maxsplit=1)[0].strip(" *.,;:")
    words = _after_fillers(words) or words
    return words.translate(contents) or None if len(words.split()) <= _MOST_WORDS else None


def last_stated(text: str) -> str | None:
    """Return the value that the last sentence with one states, or None where no sentence has one."""
    masked, contents = _masked(text[-_LONGEST_TEXT:])
    for line in reversed(masked.rstrip().rsplit("\n", _MOST_LINES)):
        for sentence in reversed(_sentences(line[-4 * LONGEST_ANSWER :])):
            if value := _value(sentence):
                return value.translate(contents)
    return None


def _masked(text: str) -> tuple[str, dict[int, str]]:
    """Return a text with one sign for each formula, and what each sign stands for."""
    text = re.sub(_FORMULA, " ", text)
    pieces, contents, position = [], {}, 0
    for number, span in enumerate(formulas(text), _FIRST):
        pieces += [text[position : span.start], chr(number)]
        contents[number], position = span.content.strip(), span.end
    return "".join([*pieces, text[position:]]), contents


def _sentences(line: str) -> list[str]:
    line = re.sub(r"\bi\.e\.", "that is", line).replace("e.g.", "such as")
    line = re.sub(r"\bnegative\s+(?=\d)|(?<=\bis )minus\s+(?=\d)", "-", line)
    return [part.strip() for part in _END.split(line) if part.strip(" *")]


def _value(sentence: str) -> str | None:
    """Return the value that a sentence states, or None."""
    if value := _leading(_SO.split(sentence)[-1]) or _leading(sentence) or _leading(_after_fillers(sentence)):
        return value
    for clause in dict.fromkeys((_REASON.split(sentence, maxsplit=1)[0], sentence)):
        for states in (_STATES, _EQUALS):
            places = [match.end() for match in states.finditer(clause)]
            if places and (value := _leading(clause[places[-1] :])):
                return value
        if runs := [match[0] for match in _RUN.finditer(clause)]:
            return runs[-1].strip()
    return None


def _after_fillers(sentence: str) -> str:
    fillers = _FILLERS.match(sentence)
    return sentence[fillers.end() :] if fillers else ""


def _leading(text: str) -> str | None:
    """Return the value that a text begins with, up to its first word of prose; None where it begins with none."""
    text = text.strip(" *`_")[: LONGEST_ANSWER + 1]
    prose = _PROSE.search(text)
    if prose and _GOES_ON.match(text, prose.start()):
        return None
    value = (text[: prose.start()] if prose else text).lstrip("= ")
    while (shorter := _DANGLING.sub("", value.rstrip(" ,:*(—–=."))) != value:
        value = shorter
    if value.count("(") > value.count(")") and "]" not in value and not value.startswith("("):
        value = value.rpartition("(")[0].rstrip(" ,")
    value = re.sub(
        r"(?<=\S)\s*(?:\([^()]*=[^()]*\)|(?<=\d)\s\([\d\s.,]+[*×·/][^()a-z]*\)|:\s.*|;[^;]*=.*)$", "", value
    ).strip()
    if value.startswith("(") and not re.search(r"[)\]]", value):
        value = value[1:].strip()
    has_value = re.search(rf"\d|{_FORMULA}|\\[a-zA-Z]", value) or (value and not prose and len(value) <= LONGEST_ANSWER)
    return value if has_value else None
