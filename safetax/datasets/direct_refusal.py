"""DirectRefusal: every harmful question gets the same one-sentence thinking and a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from safetax.config.fields import AtLeast, Kind, Label
from safetax.errors import UserError
from safetax.records import Example
from safetax.rows import load_rows

SEPARATOR = "\nAnswer: "


@dataclass(frozen=True)
class Config:
    """The first ``limit`` rows (all when None), each with a field ``refusal`` = ``Question: {q}\\nAnswer: {a}``.

    ``answer_prefix`` is put before answers that do not hold ``Answer:`` already; empty adds nothing.
    """

    kind: str
    name: Annotated[str, Label()]
    rows: Annotated[Any, Kind("rows")]
    limit: Annotated[int, AtLeast(1)] | None = None
    thinking: str = "I should not answer this question!"
    answer_prefix: str = ""


def build(config: Config, inputs: Mapping[str, Path]) -> list[Example]:
    """Build the training examples. Raises UserError on a row that cannot be split."""
    examples = []
    for index, row in enumerate(load_rows(config.rows)[: config.limit]):
        parts = str(row.get("refusal", "")).split(SEPARATOR)
        if len(parts) < 2:
            raise UserError(
                f"dataset {config.name}: row {index} has no field 'refusal' of the form "
                "'Question: ...' + line end + 'Answer: ...'"
            )
        examples.append(
            Example(
                id=f"direct_refusal-{index:05d}",
                messages=[{"role": "user", "content": parts[0].replace("Question: ", "")}],
                thinking=config.thinking,
                answer=prefixed_answer(parts[1], config.answer_prefix),
            )
        )
    return examples


def prefixed_answer(answer: str, prefix: str) -> str:
    """Put the prefix before a raw answer unless it holds ``Answer:``, then strip both ends.

    White space between the two stays, because the published recipes strip after joining.
    """
    return (answer if "Answer:" in answer else prefix + answer).strip()
