"""The reasoning model's own correct traces of a benchmark's prompts, which other checkpoints are asked to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from safetax.config.fields import Label
from safetax.data.datasets import DatasetContext, OnBadRow
from safetax.data.datasets._derived import rows_of_input
from safetax.data.datasets.refined import samples_of
from safetax.records import Example

ON_POLICY = True
"""Its inputs are steps: ``prompts`` (prepare), ``responses`` (generate) and ``verdicts`` (score)."""
MAY_BE_EMPTY = True
"""A model may solve none."""
WHOLE = ("closed", "suppressed", "none")
"""Ends of a thinking that is as the model meant it."""


@dataclass(frozen=True)
class Config:
    """A trace that holds marks of the format or the model cannot be read again, and is left out."""

    kind: str
    name: Annotated[str, Label()]
    on_bad_row: OnBadRow = "skip"


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Return of each prompt the first response that is correct and ended by itself; there may be none.

    The examples have the ids of the prompts, in their order.
    """
    found: dict[str, Example] = {}
    prompts = {prompt.id: prompt for prompt in rows_of_input(context, "prompts")}
    for response, verdict in sorted(samples_of(context.inputs), key=lambda sample: sample[0].repeat):
        ended = response.end_of_answer == "stop" and response.end_of_thinking in WHOLE
        if verdict.correct and ended and response.id not in found:
            found[response.id] = Example(
                id=response.id,
                messages=prompts[response.id].messages,
                thinking=response.thinking,
                answer=response.answer,
            )
    context.summary["prompts"] = len(prompts)
    return [found[name] for name in prompts if name in found]
