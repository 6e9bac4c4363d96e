"""Rows whose thinking is written in three parts: what is asked, whether it does harm, and what follows from that.

This is the structure that R1-ACT and work on the structure of reasoning train on; their own texts are not ours to
copy, so the words of the three parts are settings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from safetax.data.datasets import DatasetContext
from safetax.data.datasets._derived import DerivedDataset, needs_of_source, rows_of_input
from safetax.data.datasets.templated import filled, question_of, slots_of
from safetax.errors import UserError
from safetax.records import Example


@dataclass(frozen=True)
class Assessment:
    """What the thinking says of a request of one sort, and what it does then."""

    harm: str
    """The assessment, one sentence."""
    conclusion: str


@dataclass(frozen=True, kw_only=True)
class Config(DerivedDataset):
    """The rows of ``source`` with thinking of ``understanding``, assessment and conclusion; answers stay.

    A row is benign where ``meta["harmful"]`` is false. The texts may name ``{question}``, the row's own ``{thinking}``
    and ``{answer}``, and anything in its meta.
    """

    understanding: str
    harmful: Assessment
    benign: Assessment
    separator: str = "\n\n"


needs = needs_of_source


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Build the training examples. Raises UserError where a text names what a row does not have."""
    return [_structured(config, index, row) for index, row in enumerate(rows_of_input(context))]


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
