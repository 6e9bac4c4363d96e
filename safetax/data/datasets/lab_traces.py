"""Reference traces of the lab's test problems: the thinking and the answer that the reasoning stage teaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from safetax.config.fields import AtLeast, Between, Label
from safetax.config.needs import Needs
from safetax.data.datasets import DatasetContext
from safetax.data.lab.chats import messages
from safetax.data.lab.world import TEST_PROBLEMS, VERSION, world
from safetax.records import Example


@dataclass(frozen=True)
class Config:
    """The first ``samples`` test problems of a world."""

    kind: str
    name: Annotated[str, Label()]
    world_seed: int
    samples: Annotated[int, AtLeast(1), Between(high=TEST_PROBLEMS)]


def needs(config: Config) -> Needs:
    """Return how many rows it makes."""
    return Needs(rows=config.samples)


def resolve(config: Config) -> dict[str, Any]:
    """Return the version of the world."""
    return {"world": VERSION}


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Return each problem with its worked trace."""
    problems = world(config.world_seed).test_problems[: config.samples]
    return [
        Example(
            id=f"reference-{index:04d}",
            messages=messages(problem.text),
            thinking=problem.trace,
            answer=problem.answer,
        )
        for index, problem in enumerate(problems)
    ]
