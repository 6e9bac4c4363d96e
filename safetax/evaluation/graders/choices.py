r"""Which of several lettered choices a text settles on.

A statement is a box, what stands behind words that announce an answer (``Answer:``, ``I would choose``, ``no, wait:``),
or the last line. The last one that names a letter counts. It settles on that letter where it begins with it (reasons
may follow), or where it is the only one that is named and not ruled out (``not A but C``); it settles on nothing where
it names two (``A or B``), and then no earlier statement counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from safetax.evaluation.graders import LONGEST_ANSWER
from safetax.evaluation.graders.extraction import ANSWER_IS, TAGS, Extracted, How
from safetax.evaluation.graders.notation import plain_width
from safetax.evaluation.graders.spans import Span, boxes, joined_boxes

LETTERS = "ABCDEFGHIJ"
_CHOOSING = (
    r"|\b(?:choose|chose|pick|select|go(?:ing)?\s+with|opt\s+for|settle\s+on|vote\s+for)\b[^\S\n]*(?:is\b|:)?"
    r"|\b(?:wait|no|actually|correction|rather|hmm|sorry)\b[^\S\n]*[,.:!—-]+(?=[^\S\n]*(?:it\s+is\s+|it's\s+)?\W{0,3}[A-J]\b)"
    r"|\b(?:correct|right|best)\s+\w+\s+(?:is|must\s+be|would\s+be)\b"
    r"|选择?"
)
_STATED = re.compile(rf"{ANSWER_IS}{_CHOOSING}", re.IGNORECASE | re.MULTILINE)
_MARKS = 100
"""Announced choices that are looked at, from the last one back."""
_FONTS = re.compile(r"\\(?:text|mathrm|textbf|mathbf|textit|boxed|fbox|operatorname)\s*\{|\\[()\[\]]|[{}$*`\\_]")
_LEAD = re.compile(
    r"[^\w(]*(?:(?:therefore|thus|hence|so|then|clearly|definitely|probably|likely|simply|certainly|most\s+likely"
    r"|i(?:\s+would|'d)?\s+(?:conclude|think|believe|say|choose|pick|select|go\s+with)(?:\s+that)?"
    r"|(?:it|that|this|which)\s+(?:is|must\s+be|would\s+be|has\s+to\s+be)|it's|be|is|are|that"
    r"|the|my|final|correct|right|best|answer|option|choice|letter|statement)\b[\s,:(]*)*",
    re.IGNORECASE,
)
"""Words before a letter that say no more than that it is the answer."""
_FIRST = re.compile(
    r"[\s(]*(?:([A-J])(?![\w'’])|([a-j])(?![\w'’])(?=(\s*(?:[).:,](?!\w)|$|(?:because|since|rather|instead)\b))?))"
)
_END = r"\s*(?:$|[^\s\w])"
_NO_ARTICLE = re.compile(
    rf"{_END}|\s*(?:because|since|as|rather|instead|and|or|but|not|is|isn't|was|are|might|may|could|due|for|given|with|which"
    r"|where|while|whereas|over|by|in|on|if|then|therefore|from|only|too|seems|looks|has|cannot|can't|can|would|will|plus"
    r"|[A-J](?![\w'’])|\d)\b",
    re.IGNORECASE,
)
"""What follows a letter, and neither the article *a* nor the pronoun *I*."""
_ONE = r"(?:(?:option|choice|answer)s?\s+)?\(?\s*(?P<letter>[A-J])(?![\w'’])\s*\)?"
_JOINED = re.compile(
    rf"[)\s]*(?:(?:/|&|\||\+|,?\s*(?:and/or|and|or|as\s+well\s+as|along\s+with|plus|vs\.?|versus)\b)\s*(?:(?:maybe|possibly|also)\s+)?{_ONE}"
    rf"|[,;\n]\s*{_ONE.replace('letter', 'listed')}|\s+(?P<beside>[A-J])(?=\s*(?:$|[.,;)]|[A-J]\b)))"
)
_OR = re.compile(r"[)\s]*,?\s*or\b")
_SINGULAR = re.compile(
    r"\s*(?:is|was|isn't|wasn't|has|does|doesn't|fails|contradicts|seems|looks|cannot|can't|would)\b"
)
_GOES_ON = re.compile(r"\s*(?!(?:and|or|because|since|as|both)\b)[a-z]")
_IS = re.compile(
    r"\s*(?:is|are|was|isn['’]t|aren['’]t|might|may|could|can|cannot|can['’]t|would|has|does|doesn['’]t|fails?|seems?|looks?)\b"
)
_IS_RIGHT = re.compile(
    r"\s*(?:is|must\s+be)\s+(?:clearly\s+|therefore\s+)?(?:the\s+)?(?:correct|right|best|true|answer|one)\b"
)
_SUBJECT = re.compile(
    r"^\W*(?:not|neither)\b|\b(?:it|that|this|one|answer|option|choice|choose|pick|select)\b", re.IGNORECASE
)
"""What the last line is about where it names an answer in its midst."""
_REASON = re.compile(
    r"\b(?:because|since|as|due\s+to|given|for\s+the|which|where|while|whereas|although|though|so\s+that)\b"
    r"|[—–]|\s-\s|[.;]\s|\n",
    re.IGNORECASE,
)
_AGAINST = (
    r"(?:\b(?:not|nor|neither|rather\s+than|instead\s+of|except(?:\s+for)?|excluding|unlike|over|eliminat\w+|rul\w+\s+out)"
    r"|n['’]t(?:\s+be)?)"
)
_NEGATION = re.compile(
    r"\b(?:not|never|neither|nor|none|except|cannot|incorrect|wrong|false|eliminated)\b|n['’]t\b", re.IGNORECASE
)


class _Statement(NamedTuple):
    start: int
    text: str
    how: How


def choice(text: str, choices: Sequence[str]) -> Extracted | None:
    """Return the letter of the choice that a text settles on, or None where it settles on none.

    Args:
        text: the answer of the response.
        choices: the texts of A, B, C ..; one of them in place of its letter is understood too.
    """
    letters = LETTERS[: len(choices)]
    refused: set[str] = set()
    for statement in _statements(TAGS.sub(" ", plain_width(text)), letters):
        named, ruled_out = _settled(statement, letters, choices)
        refused |= ruled_out
        if len(named) == 1 and not named & refused and named <= set(letters):
            return Extracted(named.pop(), statement.how)
        if named:
            return None
    return None


def _statements(text: str, letters: str) -> Iterator[_Statement]:
    """Yield what may settle a choice, the last one first, boxes before what is only behind them in a sentence."""
    found = boxes(text)
    marks = [mark.end() for mark in _STATED.finditer(text)][-_MARKS:]
    announced = [_Statement(end, _announced(text[end : end + LONGEST_ANSWER], letters), "marked") for end in marks]
    last_box = found[-1].end if found else 0
    plain = re.compile(rf"[\s:*(]*[{letters}]\b(?!\s+\w)")
    behind = [each for each in announced if each.start >= last_box and (not found or plain.match(_bare(each.text)))]
    yield from (behind if found else announced)[::-1]
    if found:
        yield _Statement(last_box, joined_boxes(text, found)[:LONGEST_ANSWER], "boxed")
        yield from _earlier_boxes(found)
        yield from [each for each in announced if each not in behind][::-1]
    yield from _last_line(text, letters)


def _earlier_boxes(found: Sequence[Span]) -> Iterator[_Statement]:
    for box in found[-2 : -_MARKS - 1 : -1]:
        yield _Statement(box.start, box.content[:LONGEST_ANSWER], "boxed")


def _last_line(text: str, letters: str) -> Iterator[_Statement]:
    """Yield the last line, and of several sentences in it the last, unless it is the end of a list of all choices."""
    before, _, last = text.strip().rpartition("\n")
    label = re.compile(rf"\W*(?:option\s+)?[{letters}]\s*[).:]", re.IGNORECASE)
    listed = label.match(last) and label.match(before.rstrip().rpartition("\n")[2])
    if not listed:
        yield _Statement(len(before), last[:LONGEST_ANSWER], "whole")


def _announced(rest: str, letters: str) -> str:
    """Return the rest of a mark's own line or, where nothing is left of it, the next line unless that begins a list."""
    own, _, below = rest.partition("\n")
    if own.strip(" \t*:") or not below.strip():
        return own.strip()
    lines = [line.strip() for line in below.split("\n") if line.strip()]
    listing = len(lines) > 1 and re.match(rf"[*(]*[{letters}]\s*[).:]", lines[1], re.IGNORECASE) is not None
    return "" if listing else lines[0]


def _settled(statement: _Statement, letters: str, choices: Sequence[str]) -> tuple[set[str], set[str]]:
    """Return the letters that a statement names as the answer, and those that it rules out."""
    if letter := _letter_of_text(statement.text, letters, choices):
        return {letter}, set()
    text = _bare(statement.text)
    if led := _led(text):
        return led
    if statement.how == "whole" and not _SUBJECT.search(text):
        return set(), set()
    kept, ruled_out = _ruled_out(text)
    head = _REASON.split(kept, maxsplit=1)[0]
    named = _mentions(head)
    if _NEGATION.search(head):
        return set(), ruled_out | (named if len(named) == 1 else set())
    return named - ruled_out, ruled_out


def _led(text: str) -> tuple[set[str], set[str]] | None:
    """Return the letters of a statement that begins with one, and those that it rules out; else None."""
    lead = _LEAD.match(text)
    start = lead.end() if lead else 0
    first = _FIRST.match(text, start)
    if first is None or (first[2] and first[3] is None and not re.search(r"(?i)(?:option|choice)\W*$", text[:start])):
        return None
    letter, rest = (first[1] or first[2]).upper(), text[first.end() :]
    if first[1] and not _is_letter(letter, rest):
        return None
    if others := _joined_letters(rest) or (_mentions(_REASON.split(rest, maxsplit=1)[0]) if _OR.match(rest) else set()):
        return {letter, *others}, set()
    if _IS.match(rest) and not _IS_RIGHT.match(rest):
        return None
    ruled_out = _ruled_out(rest)[1]
    return {letter} - ruled_out, ruled_out


def _bare(text: str) -> str:
    """Return a text without fonts and formula signs, and letters in brackets or behind *option* as capitals."""
    text = _FONTS.sub(" ", text).strip()
    return re.sub(
        r"\(\s*[a-j]\s*\)|\b(?:option|choice)\s+[a-j]\b", lambda match: match[0][:-2] + match[0][-2:].upper(), text
    )


def _is_letter(letter: str, rest: str) -> bool:
    """Whether what may be the article *a* or the pronoun *I* is a letter, by what follows it."""
    return letter not in "AI" or _NO_ARTICLE.match(rest) is not None


def _joined_letters(rest: str) -> set[str]:
    """Return the letters that a list goes on with behind its first one."""
    found: set[str] = set()
    while match := _JOINED.match(rest):
        rest = rest[match.end() :]
        letter = match["letter"] or match["listed"] or match["beside"]
        if not _is_letter(letter, rest) or (_GOES_ON if match["listed"] else _SINGULAR).match(rest):
            break
        found.add(letter)
    return found


def _ruled_out(text: str) -> tuple[str, set[str]]:
    """Return a text without the letters that it rules out, and these letters."""
    found: set[str] = set()

    def take(match: re.Match[str]) -> str:
        found.update(re.findall(r"\b[A-J]\b", match["letters"]))
        return " "

    one = r"(?:option\s+|choice\s+|answer\s+)?\(?[A-J](?![\w'’])\)?"
    pattern = (
        rf"(?i:{_AGAINST})\s+(?:the\s+)?(?P<letters>{one}(?:\s*(?:,|or|nor|and|/)+\s*(?:or\s+|nor\s+|and\s+)?{one})*)"
    )
    return re.sub(pattern, take, text), found


def _mentions(text: str) -> set[str]:
    """Return the letters that a text names: capital ones, and small ones in brackets or behind *option*."""
    found = set()
    for match in re.finditer(r"(?<![\w'’])([A-J])(?![\w'’])", text):
        if _is_letter(match[1], text[match.end() :]):
            found.add(match[1])
    found |= {
        letter.upper()
        for letter in re.findall(r"\(([a-j])\)|(?:option|choice)\s+([a-j])\b", text)
        for letter in letter
        if letter
    }
    return found


def _letter_of_text(written: str, letters: str, choices: Sequence[str]) -> str | None:
    """Return the letter of the only choice that reads as what is written, or as its first sentence."""
    for wanted in dict.fromkeys((_squeezed(written), _squeezed(_REASON.split(written, maxsplit=1)[0]))):
        matching = [letter for letter, text in zip(letters, choices, strict=True) if _squeezed(text) == wanted]
        if wanted and len(matching) == 1:
            return matching[0]
    return None


def _squeezed(text: str) -> str:
    text = re.sub(r"\\(?:text|mathrm|textbf|mathbf|left|right|,|;|!)|[\s{}$*]|\\[()\[\]]", "", text)
    return text.strip(".").lower()
