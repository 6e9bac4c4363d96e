"""Marks of thinking that texts may hold already, whatever format they were written in.

A format writes its own marks around thinking and answer. A trace that still holds some, its own or another format's,
would be trained with two of them. Those at the ends of a text are taken off; a row with others cannot be used.
"""

from __future__ import annotations

import re
from dataclasses import replace

from safetax.records import Example

_WORD = r"(?:think|thinking|thoughts?|reasoning)"
_OPEN = (
    rf"(?:<\s*\|?\s*(?:begin_of_)?{_WORD}\s*\|?\s*>|\[\s*{_WORD}\s*\]|◁\s*{_WORD}\s*▷"
    rf"|<\s*\|\s*im_start\s*\|\s*>\s*{_WORD}\b)"
)
_CLOSE = (
    rf"(?:<\s*\|?\s*(?:/\s*|end_of_){_WORD}\s*\|?\s*>|\[\s*/\s*{_WORD}\s*\]|◁\s*/\s*{_WORD}\s*▷"
    r"|<\s*\|\s*im_start\s*\|\s*>\s*answer\b)"
)
_TURN = r"<\s*\|\s*im_(?:start|end)\s*\|\s*>|<[|｜][\w▁]+[|｜]>"
"""Marks of turns, and whatever looks like a model's special token."""
_OPENED = re.compile(rf"^(\s*){_OPEN}\s*", re.IGNORECASE)
_CLOSED = re.compile(rf"{_CLOSE}(\s*)$", re.IGNORECASE)
_ANSWER_BEGINS = re.compile(rf"^\s*{_CLOSE}\s*", re.IGNORECASE)
_ANY = re.compile(rf"{_OPEN}|{_CLOSE}|{_TURN}", re.IGNORECASE)
_SIGN = re.compile(r"[<\[◁]\s*\|?\s*/?\s*[tTrRbBeEiI]|<[|｜]")
"""What every mark begins with; most texts have none, which is seen soonest by this."""


def mark_in(text: str | None) -> str | None:
    """Return the first mark that a text holds, or None."""
    if not text or not _SIGN.search(text):
        return None
    found = _ANY.search(text)
    return None if found is None else found[0]


def flaw_in(*texts: str | None) -> str | None:
    """Return what in a model's own texts no training row may hold, or None; damaged models write anything."""
    for text in texts:
        if mark_in(text):
            return "it holds a mark of thinking"
        if text and ("\0" in text or any("\ud800" <= character <= "\udfff" for character in text)):
            return "it holds a character that no text has"
    return None


def without_marks(example: Example) -> Example:
    """Return an example without the marks at the ends of its thinking, and before its answer.

    Raises:
        ValueError: there is a mark elsewhere in its thinking or answer.
    """
    thinking, answer = example.thinking, example.answer
    if thinking is not None and mark_in(thinking):
        thinking = _OPENED.sub(r"\1", thinking)
        if closed := _CLOSED.search(thinking):
            thinking = thinking[: closed.start()].rstrip() + closed[1]
    if answer is not None and thinking is not None and mark_in(answer):
        answer = _ANSWER_BEGINS.sub("", answer)
    for part, text, before in (("thinking", thinking, example.thinking), ("answer", answer, example.answer)):
        if mark := mark_in(text):
            raise ValueError(f"its {part} holds {mark}, a mark that formats write around thinking or turns")
        if (before or "").strip() and not (text or "").strip():
            raise ValueError(f"its {part} is nothing but a mark that formats write around thinking")
    return replace(example, thinking=thinking, answer=answer)
