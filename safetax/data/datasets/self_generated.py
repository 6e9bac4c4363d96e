"""Self-generated safety data: the reasoning model's own safe responses, sampled under a safety prompt.

The prompts' system message steers the model when it is sampled and is left out of the training rows, so the model
learns to do unasked what it did when asked, in its own words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from safetax.config.components import DatasetConfig, JudgeConfig
from safetax.config.fields import AtLeast, Between, HashedUnless, Kind, Label, MoreThan
from safetax.config.needs import Needs
from safetax.data.datasets import DatasetContext
from safetax.data.datasets._derived import rows_of_input
from safetax.data.datasets.refined import samples_of
from safetax.data.marks import flaw_in
from safetax.errors import UserError
from safetax.records import Example

ON_POLICY = True
"""Its inputs are steps: ``prompts`` (prepare), ``responses`` (generate) and ``verdicts`` (score)."""


@dataclass(frozen=True)
class Config:
    """``samples_per_prompt`` responses to each prompt, of which those stay that the judge gives a label in ``keep``.

    ``limit`` takes the first ones kept: every prompt's first sample, then the second ones, and so on.
    """

    kind: str
    name: Annotated[str, Label()]
    prompts: Annotated[DatasetConfig, Kind("datasets")]
    judge: Annotated[JudgeConfig, Kind("judges")]
    keep: list[str]
    samples_per_prompt: Annotated[int, AtLeast(1)] = 1
    temperature: Annotated[float, AtLeast(0)] = 1.0
    top_p: Annotated[float, MoreThan(0), Between(high=1)] = 1.0
    thinking_budget: Annotated[Annotated[int, AtLeast(0)] | None, HashedUnless(None)] = None
    """Tokens of a sample's thinking; null: as in the evaluation. The same for ``answer_budget``."""
    answer_budget: Annotated[Annotated[int, AtLeast(1)] | None, HashedUnless(None)] = None
    limit: Annotated[int, AtLeast(1)] | None = None


def needs(config: Config) -> Needs:
    """Return how many rows it makes."""
    return Needs(rows=config.limit)


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Assemble the training examples. Raises UserError when no response is kept."""
    prompts = rows_of_input(context, "prompts")
    order = {prompt.id: position for position, prompt in enumerate(prompts)}
    samples = sorted(samples_of(context.inputs), key=lambda sample: (sample[0].repeat, order[sample[0].id]))
    examples = []
    for response, verdict in samples:
        closed = response.end_of_thinking == "closed" and response.end_of_answer == "stop"
        closed = closed and flaw_in(response.thinking, response.answer) is None
        if not closed or verdict.error is not None or verdict.label not in config.keep:
            continue
        prompt = prompts[order[response.id]]
        examples.append(
            Example(
                id=f"{response.id}-{response.repeat}",
                messages=[message for message in prompt.messages if message["role"] != "system"],
                thinking=(response.thinking or "").lstrip(),  # its way into the answer is the model's own
                answer=response.answer.strip(),
                meta={"verdict": verdict.label},
            )
        )
    if not examples:
        raise UserError(
            f"dataset {config.name}: none of {len(samples)} responses closed its thinking and was judged "
            f"{' or '.join(config.keep)}"
        )
    return examples[: config.limit]
