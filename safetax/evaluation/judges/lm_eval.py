"""Grades responses with the lm-eval task that recorded their prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from safetax.config.needs import Library, Needs
from safetax.evaluation.judging.cases import JudgeContext
from safetax.records import Example, Response, Verdict


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
    """Return the content hashes of the task's definition, and what its data are right now."""
    from safetax.data.lm_eval.definitions import task_facts

    return task_facts(config.task, config.folder, config.metadata)


def judge(
    config: Config, examples: Sequence[Example], responses: Sequence[Response], context: JudgeContext
) -> list[Verdict]:
    """Say of each response whether it is correct."""
    from safetax.data.lm_eval.tasks import grade

    return grade(config.task, config.folder, config.metadata, config.metric, examples, responses, context.facts)
