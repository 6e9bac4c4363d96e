"""The sound rule: a final answer has to be given as such, and an answer that cannot be read is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from safetax.errors import UserError
from safetax.evaluation.graders.algebra import Algebra
from safetax.evaluation.graders.choices import choice
from safetax.evaluation.graders.equality import equal
from safetax.evaluation.graders.extraction import How, final_answer

KINDS = ("integer", "math", "choice")


@dataclass(frozen=True)
class Grade:
    """What became of an answer; ``unresolved`` counts as wrong and says why in ``reason``."""

    label: Literal["correct", "wrong", "unresolved"]
    extracted: str | None = None
    how: How | None = None
    reason: Literal["no answer", "unreadable", "too long"] | None = None


def grade(document: Mapping[str, Any], answer: str, algebra: Algebra) -> Grade:
    """Return what an answer is worth.

    Args:
        document: the problem (see :mod:`safetax.evaluation.graders`).
        answer: the response's answer, without its thinking.
        algebra: decides where two expressions may be equal.

    Raises:
        UserError: the document is no problem of a known kind.
    """
    kind, gold, choices = checked(document)
    if kind == "choice":
        found = choice(answer, choices)
        if found is None:
            return Grade("unresolved", reason="no answer")
        return Grade("correct" if found.text == gold else "wrong", found.text, found.how)
    found = final_answer(answer)
    if found is None:
        return Grade("unresolved", reason="no answer")
    equality = equal(gold, found.text, algebra, str(document.get("problem") or ""))
    if equality in ("unreadable", "too long"):
        return Grade("unresolved", found.text, found.how, equality)
    return Grade("correct" if equality == "equal" else "wrong", found.text, found.how)


def checked(document: Mapping[str, Any]) -> tuple[str, str, Sequence[str]]:
    """Return kind, right answer and choices of a document. Raises UserError where it has none."""
    kind, gold, choices = document.get("kind"), document.get("answer"), document.get("choices") or []
    if kind not in KINDS or not isinstance(gold, str) or (kind == "choice" and not choices):
        there = ", ".join(map(str, document)) or "nothing"
        raise UserError(
            "grader.kind=sound or paper_grader grades documents with an answer and a kind "
            f"({', '.join(KINDS)}; choices for the last), and this one has {there}; "
            "for other lm-eval tasks set grader.kind=lm_eval."
        )
    return kind, gold, choices


@cache
def shared_algebra() -> Algebra:
    """Return the process's own algebra, for callers that are asked one answer at a time."""
    return Algebra()


def process_results(document: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Return lm-eval's metrics for one response: whether it is correct, and whether it could be read at all."""
    found = grade(document, results[0], shared_algebra())
    return {"sound": float(found.label == "correct"), "unresolved": float(found.label == "unresolved")}
