"""SafeChain: harmful questions with a reasoning model's safety trace and its refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from safetax.config.fields import AtLeast, Kind, Label
from safetax.datasets.direct_refusal import prefixed_answer
from safetax.errors import UserError
from safetax.records import Example
from safetax.rows import load_rows

END_OF_THINKING = "</think>"


@dataclass(frozen=True)
class Config:
    """Rows with ``instruction``, ``response`` and ``label``: the first ``limit`` of a label, all of them when None.

    Rows whose response has no ``</think>`` are dropped afterwards, so fewer than ``limit`` may remain.
    """

    kind: str
    name: Annotated[str, Label()]
    rows: Annotated[Any, Kind("rows")]
    limit: Annotated[int, AtLeast(1)] | None = None
    label: str = "vanilla_harmful"
    answer_prefix: str = ""


def build(config: Config, inputs: Mapping[str, Path]) -> list[Example]:
    """Build the training examples. Raises UserError when a row lacks a field or none is left."""
    rows = load_rows(config.rows)
    for index, row in enumerate(rows):
        missing = [field for field in ("instruction", "response", "label") if not isinstance(row.get(field), str)]
        if missing:
            raise UserError(f"dataset {config.name}: row {index} has no text in {', '.join(missing)}")
    chosen = [(index, row) for index, row in enumerate(rows) if row["label"] == config.label][: config.limit]
    examples = []
    for index, row in chosen:
        parts = row["response"].split(END_OF_THINKING)
        if len(parts) < 2:
            continue
        examples.append(
            Example(
                id=f"safechain-{index:05d}",
                messages=[{"role": "user", "content": row["instruction"]}],
                thinking=parts[0].strip(),
                answer=prefixed_answer(parts[1], config.answer_prefix),
            )
        )
    if not examples:
        raise UserError(
            f"dataset {config.name}: none of {len(rows)} rows has label {config.label!r} and {END_OF_THINKING} "
            "in its response"
        )
    return examples
