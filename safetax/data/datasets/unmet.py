"""The prompts of a refined data set's next round: those of which no sample has passed yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from safetax.config.fields import Label
from safetax.data.datasets import DatasetContext
from safetax.data.datasets.refined import Checks, outcomes
from safetax.records import Example, read_records


@dataclass(frozen=True)
class Config:
    """The checks of the data set whose rounds these are."""

    kind: str
    name: Annotated[str, Label()]
    checks: Checks


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Return the prompts that are to be sampled again; there may be none."""
    source = read_records(context.inputs["source"] / "examples.jsonl", Example)
    prompts = read_records(context.inputs["prompts"] / "examples.jsonl", Example)
    found = outcomes(config.checks, source, context.inputs)
    left = [prompt for prompt in prompts if found[prompt.id].row is None]
    context.summary["passed"] = len(source) - len(left)
    return left
