"""The prompts of a refined data set's next round: those of which no sample has passed yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from safetax.config.fields import Label
from safetax.data.datasets import DatasetContext
from safetax.data.datasets._derived import rows_of_input
from safetax.data.datasets.refined import Checks, outcomes
from safetax.records import Example

MAY_BE_EMPTY = True
"""Samples of all prompts may have passed."""


@dataclass(frozen=True)
class Config:
    """The checks of the data set whose rounds these are."""

    kind: str
    name: Annotated[str, Label()]
    checks: Checks


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Return the prompts that are to be sampled again; there may be none."""
    source = rows_of_input(context)
    found = outcomes(config.checks, source, context.inputs)
    left = [prompt for prompt in rows_of_input(context, "prompts") if found[prompt.id].row is None]
    context.summary["passed"] = len(source) - len(left)
    return left
