"""Grades responses with the lm-eval task that recorded their prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from safetax.config.needs import Library, Needs
from safetax.evaluation.graders import SOUND_VERSION
from safetax.evaluation.judging.cases import JudgeContext
from safetax.records import Example, Response, Verdict

RULE = "rule"
"""Where the facts say which version of the sound rule a task's metrics are."""


@dataclass(frozen=True)
class Config:
    """Which task, and which of its metrics says right or wrong."""

    kind: str
    task: str
    folder: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    metric: str | None = None
    """null: the task's first metric."""


def needs(config: Config) -> Needs:
    """Return lm-eval, which scores."""
    return Needs(libraries=(Library("lm_eval"),))


def resolve(config: Config) -> dict[str, Any]:
    """Return the content hashes of the task's definition, what its data are right now, and the rule of its metrics."""
    from safetax.data.lm_eval.definitions import find_definition, included, task_facts

    facts = task_facts(config.task, config.folder, config.metadata)
    texts = [path.read_text(encoding="utf-8") for path in included(find_definition(config.task, config.folder))]
    # The code of a task of the user's own is hashed; this package's has a version.
    return (
        {**facts, RULE: SOUND_VERSION} if any("safetax.evaluation.graders.sound." in text for text in texts) else facts
    )


def judge(
    config: Config, examples: Sequence[Example], responses: Sequence[Response], context: JudgeContext
) -> list[Verdict]:
    """Say of each response whether it is correct."""
    from safetax.data.lm_eval.tasks import grade

    facts = {name: value for name, value in context.facts.items() if name != RULE}
    return grade(config.task, config.folder, config.metadata, config.metric, examples, responses, facts)
