"""The prompts of an lm-eval task, recorded with the documents that it scores them by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from safetax.config.fields import AtLeast
from safetax.config.needs import Library, Needs, Repository
from safetax.data.datasets import DatasetContext
from safetax.records import Example


@dataclass(frozen=True)
class Config:
    """Which task, and how many of its documents."""

    kind: str
    task: str
    folder: str | None = None
    """A folder of task YAML of the user's own; null: those of safetax and of lm-eval."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """The task's own settings; for safetax's own: ``path`` of a file in place of the hub, ``revision``."""
    limit: Annotated[int, AtLeast(1)] | None = None
    """Only the first documents."""


def needs(config: Config) -> Needs:
    """Return lm-eval, and the repository that a task of safetax's own reads its rows from."""
    from safetax.data.lm_eval.definitions import repository_of

    own = repository_of(config.task, config.folder, config.metadata)
    repositories = () if own is None else (Repository(own[0], "dataset", own[1], key="task"),)
    return Needs(libraries=(Library("lm_eval"),), repositories=repositories, rows=config.limit)


def resolve(config: Config) -> dict[str, Any]:
    """Return the content hashes of the task's definition, and what its data are right now."""
    from safetax.data.lm_eval.definitions import task_facts

    return task_facts(config.task, config.folder, config.metadata)


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Record the prompts of the task."""
    from safetax.data.lm_eval.tasks import record

    return record(config.task, config.folder, config.metadata, config.limit, context.facts)
