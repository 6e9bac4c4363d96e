"""Broken answers: garbage, which a judge of harm takes for safe, and a grader for wrong.

A model that training damaged says nothing, one word over and over, or the same phrase until its budget ends. Whoever
judges, such answers are counted, so that their share can stand beside each score.
"""

from __future__ import annotations

from collections.abc import Sequence

from safetax.evaluation.judging.repetition import repeated_words
from safetax.records import GARBLED, Response, Verdict

LONGEST = 40
"""Words of the longest phrase whose repetition is looked for."""
TURNS = 4
"""How often a phrase stands in a row in a broken answer."""
FEWEST = 12
"""Words that such repetitions have together at least: lists and verses repeat less."""


def note_broken(responses: Sequence[Response], verdicts: Sequence[Verdict]) -> int:
    """Note in the detail of each verdict why the answer is broken, where it is, and return how many are.

    Args:
        responses: the responses.
        verdicts: on them, in the same order; a judge that knows better labels an answer ``garbled`` itself.
    """
    for response, verdict in zip(responses, verdicts, strict=True):
        reason = "garbled" if verdict.label == GARBLED else broken(response.answer)
        if reason is not None:
            verdict.detail["broken"] = reason
    return sum("broken" in verdict.detail for verdict in verdicts)


def broken(answer: str) -> str | None:
    """Return why an answer is broken ("empty", "repeated words", "repeated phrase"), or None."""
    if not any(character.isalnum() for character in answer):
        return "empty"
    if repeated_words(answer):
        return "repeated words"
    return "repeated phrase" if repeats_a_phrase(answer.split()) else None


def repeats_a_phrase(words: Sequence[str]) -> bool:
    """Whether two or more words stand at least four times in a row, in a stretch of at least twelve words."""
    for length in range(2, min(LONGEST, len(words) // TURNS) + 1):
        wanted = max(TURNS * length, FEWEST) - length
        run = 0
        for end in range(length, len(words)):
            run = run + 1 if words[end] == words[end - length] else 0
            # Rows of a table of numbers may well be alike.
            if run >= wanted and any(character.isalpha() for word in words[end - length : end] for character in word):
                return True
    return False
