"""Grades final answers by one sound rule: explicit extraction, exact comparison, and nothing counted by default.

See :mod:`safetax.evaluation.graders.sound`. A response whose answer cannot be found or read is wrong, has the label
``unresolved`` and its reason in the verdict's detail; it is never guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from safetax.config.fields import MoreThan
from safetax.config.needs import Library, Needs
from safetax.evaluation.graders import SOUND_VERSION
from safetax.evaluation.judging.cases import JudgeContext
from safetax.records import Example, Response, Verdict


@dataclass(frozen=True)
class Config:
    """How long the algebra may think about one answer."""

    kind: str
    seconds: Annotated[float, MoreThan(0)] = 10.0
    """An answer that takes longer is unresolved."""


def needs(config: Config) -> Needs:
    """Return the library of its algebra."""
    return Needs(libraries=(Library("latex2sympy2_extended"),))


def resolve(config: Config) -> dict[str, Any]:
    """Return the version of the rule."""
    return {"rule": SOUND_VERSION}


def judge(
    config: Config, examples: Sequence[Example], responses: Sequence[Response], context: JudgeContext
) -> list[Verdict]:
    """Say of each response whether its final answer is right; the thinking is not looked at.

    Raises:
        UserError: a prompt is no problem of a kind that can be graded.
    """
    from safetax.evaluation.graders.algebra import Algebra
    from safetax.evaluation.graders.sound import grade  # a plan needs its version alone

    documents = {example.id: example.meta.get("document") or {} for example in examples}
    algebra = Algebra(config.seconds)
    verdicts = []
    reasons: Counter[str] = Counter()
    try:
        for response in responses:
            found = grade(documents[response.id], stated(response), algebra)
            detail = {"extracted": found.extracted, "how": found.how, "reason": found.reason}
            if found.reason:
                reasons[found.reason] += 1
            detail = {key: value for key, value in detail.items() if value is not None}
            correct = found.label == "correct"
            verdicts.append(Verdict(response.id, response.repeat, found.label, correct=correct, detail=detail))
            context.progress(len(verdicts), len(responses))
    finally:
        algebra.close()
    context.summary["unresolved"] = dict(sorted(reasons.items()))
    return verdicts


def stated(response: Response) -> str:
    """Return the answer with the words that an evaluation put in front of it, such as ``Final Answer:``."""
    put = response.transition.rsplit("\n", 1)[-1].strip()
    return f"{put} {response.answer}" if put.endswith(":") else response.answer
