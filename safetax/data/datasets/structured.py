"""Rows whose thinking is written in three parts: what is asked, whether it does harm, and what follows from that.

This is the structure that R1-ACT and work on the structure of reasoning train on; their own texts are not ours to
copy, so the words of the three parts are settings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from safetax.config.components import DatasetConfig
from safetax.config.fields import Kind, Label
from safetax.config.needs import Needs, needs_of
from safetax.data.datasets import DatasetContext
from safetax.data.datasets.templated import filled, question_of, slots_of
from safetax.errors import UserError
from safetax.records import Example, read_records


@dataclass(frozen=True)
class Assessment:
    """What the thinking says of a request of one sort, and what it does then."""

    harm: str
    """The assessment, one sentence."""
    conclusion: str


@dataclass(frozen=True)
class Config:
    """The rows of ``source`` with thinking of ``understanding``, assessment and conclusion; answers stay.

    A row is benign where ``meta["harmful"]`` is false. The texts may name ``{question}``, the row's own ``{thinking}``
    and ``{answer}``, and anything in its meta.
    """

    kind: str
    name: Annotated[str, Label()]
    source: Annotated[DatasetConfig, Kind("datasets")]
    understanding: str
    harmful: Assessment
    benign: Assessment
    separator: str = "\n\n"


def needs(config: Config) -> Needs:
    """Return how many rows it makes, and how long they are: what its source says of them."""
    source = needs_of("datasets", config.source)
    return Needs(rows=source.rows, row_tokens=source.row_tokens)


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Build the training examples. Raises UserError where a text names what a row does not have."""
    rows = read_records(context.inputs["source"] / "examples.jsonl", Example)
    return [_structured(config, index, row) for index, row in enumerate(rows)]


def _structured(config: Config, index: int, row: Example) -> Example:
    assessment = config.benign if row.meta.get("harmful") is False else config.harmful
    values = {**row.meta, "question": question_of(row), "thinking": row.thinking or "", "answer": row.answer or ""}
    parts = [part for part in (config.understanding, assessment.harm, assessment.conclusion) if part]
    template = config.separator.join(parts)
    missing = [name for name in slots_of(template) if name not in values]
    if missing:
        raise UserError(
            f"dataset {config.name}: row {index} ({row.id}) has no {missing[0]}, which its texts name; allowed are "
            f"{', '.join(sorted(values))}."
        )
    # Formats that keep white space want the next marker on a line of its own.
    return replace(row, thinking=filled(template, values).rstrip() + "\n")
