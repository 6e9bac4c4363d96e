"""What the final answer in a response is.

Looked for in this order: the last box (several, where they are one list), what stands behind the last ``answer is``,
``Answer:`` or ``####``, the whole text where it is one line, and at last the last sentence that has a value in it. A
sentence states the value that it begins with (``70, which equals 35*2``), else the one behind its last *is* or *get*.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from safetax.evaluation.graders.notation import plain_width
from safetax.evaluation.graders.sentences import last_stated, stated
from safetax.evaluation.graders.spans import boxes, joined_boxes

How = Literal["boxed", "marked", "whole", "last"]
"""Where an answer was found: in a box, behind a word that announces it, as the whole text, as the last expression."""

ANSWER_IS = (
    r"####|(?:(?:final|correct|right|best)\s+)?(?:answers?|option|choice)\b\s*\**[^\n.:=]{0,60}?"
    r"(?:\b(?:is|are|be|was)\b|[:=])[^\S\n]*\**[^\S\n]*:?|^(?:[#*]|[^\S\n])*(?:final\s+)?answer(?:\*|[^\S\n])*$"
    r"|(?:答案|答え|答|정답은?)\s*(?:[是为為はも:]|应为|應為)?[:\s]*"
    r"|\b(?:r[eé]ponse|respuesta|resposta|risposta|antwort|ответ)\b\s*(?:est|es|é|è|ist|lautet)?\s*[:—-]?"
)
"""What announces an answer."""
TAGS = re.compile(r"</?(?:answer|final|result|b|strong|i|em|p|br)\s*/?>", re.IGNORECASE)
_EMPTY_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{[\s$]*\}")
_MARK = re.compile(ANSWER_IS, re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Extracted:
    """The final answer, and where it was found."""

    text: str
    how: How


def final_answer(text: str) -> Extracted | None:
    """Return the final answer in a text, or None where nothing in it can be one."""
    text = _EMPTY_BOX.sub(" ", TAGS.sub(" ", plain_width(text)))
    if found := boxes(text):
        return Extracted(joined_boxes(text, found), "boxed")
    marks = list(_MARK.finditer(text))
    if marks and (answer := stated(text[marks[-1].end() :])):
        return Extracted(answer, "marked")
    stripped = text.strip()
    if "\n" not in stripped and not marks and (answer := stated(stripped)):
        return Extracted(answer, "whole")
    last = last_stated(text)
    return Extracted(last, "last") if last else None
