"""Prompt sets of the lab: the harmful and benign tests, and harmful prompts to make training data from."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Annotated, Literal

from safetax.config.fields import AtLeast, Label
from safetax.config.needs import Needs
from safetax.data.datasets import DatasetContext
from safetax.data.lab.chats import messages
from safetax.data.lab.world import draw_rounds, world
from safetax.errors import UserError
from safetax.records import Example


@dataclass(frozen=True)
class Config:
    """The first ``samples`` prompts of a split, after ``system`` where that is given.

    The test splits ``harmful`` and ``benign`` depend on ``world_seed`` alone; ``seed`` draws ``harmful_training`` and
    ``benign_training``, which share no prompt with the tests and name no held-out object.
    """

    kind: str
    name: Annotated[str, Label()]
    split: Literal["harmful", "benign", "harmful_training", "benign_training"]
    samples: Annotated[int, AtLeast(1)]
    world_seed: int
    seed: int = 0
    system: str | None = None


def needs(config: Config) -> Needs:
    """Return how many rows it makes."""
    return Needs(rows=config.samples)


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Build the prompts; ``meta`` tells the judge verb, object and whether the request is harmful."""
    facts = world(config.world_seed)
    if config.split.endswith("_training"):
        sort = config.split.removesuffix("_training")
        available = facts.alignment_requests(harmful=sort == "harmful")
        available = draw_rounds(
            available, len(available), Random(f"{sort} questions {config.world_seed} {config.seed}")
        )
    else:
        available = facts.test_harmful if config.split == "harmful" else facts.test_benign
    if config.samples > len(available):
        raise UserError(
            f"prompts {config.name}: samples is {config.samples}; the lab has {len(available)} {config.split} prompts"
        )
    return [
        Example(
            id=f"{config.split}-{index:04d}",
            messages=messages(request.text, config.system),
            meta={
                "verb": request.verb,
                "object": request.object,
                "harmful": request.harmful,
                "held_out": request.object in facts.held_out,
            },
        )
        for index, request in enumerate(available[: config.samples])
    ]
