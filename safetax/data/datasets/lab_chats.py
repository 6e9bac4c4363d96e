"""Training chats of the lab's own world: pre-training, reasoning stage and benign control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from safetax.config.fields import AtLeast, Label
from safetax.config.needs import Needs
from safetax.data.datasets import DatasetContext
from safetax.data.lab.chats import Mixture, draw
from safetax.data.lab.world import VERSION, world
from safetax.records import Example


@dataclass(frozen=True)
class Config:
    """``samples`` chats of a mixture; ``world_seed`` makes the world, ``seed`` draws from it."""

    kind: str
    name: Annotated[str, Label()]
    mixture: Mixture
    samples: Annotated[int, AtLeast(1)]
    world_seed: int
    seed: int


def needs(config: Config) -> Needs:
    """Return how many rows it makes."""
    return Needs(rows=config.samples)


def resolve(config: Config) -> dict[str, Any]:
    """Return the version of the world."""
    return {"world": VERSION}


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Draw the chats, without thinking for pre-training."""
    return draw(config.mixture, world(config.world_seed), config.samples, config.seed)
