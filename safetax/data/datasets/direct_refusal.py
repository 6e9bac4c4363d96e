"""DirectRefusal: every harmful question gets the same one-sentence thinking and a refusal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from safetax.config.fields import HashedUnless
from safetax.config.needs import Needs
from safetax.data.datasets import BadRowError, DatasetContext, Row, shortened, text_in
from safetax.data.datasets._rows import RowsDataset, examples_of_rows, kept
from safetax.records import Example

SEPARATOR = "\nAnswer: "


@dataclass(frozen=True, kw_only=True)
class Config(RowsDataset):
    """The first ``limit`` rows (all when None), each with a field ``refusal`` = ``Question: {q}\\nAnswer: {a}``.

    ``answer_prefix`` is put before answers that do not hold ``Answer:`` already; empty adds nothing.
    """

    thinking: str = "I should not answer this question!"
    answer_prefix: str = ""
    keep: Annotated[dict[str, str] | None, HashedUnless(None)] = None
    """Name in the examples' meta -> the column it is taken from, such as ``category``."""


def needs(config: Config) -> Needs:
    """Return how many rows it makes, and how long they are; as published where nothing else is set."""
    return Needs(rows=config.limit or 1000, row_tokens=120)


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Build the training examples. The blank before the thinking is the published rows' own.

    Raises:
        UserError: a row cannot be split or has no answer.
    """

    def example(index: int, row: Row) -> Example:
        text = text_in(row, "refusal")
        parts = text.split(SEPARATOR)
        if len(parts) < 2:
            raise BadRowError("its refusal is not 'Question: ..', a line end and 'Answer: ..'", shortened(text))
        if not parts[1].strip():
            raise BadRowError("its answer is empty")
        return Example(
            id=f"direct_refusal-{index:05d}",
            messages=[{"role": "user", "content": parts[0].replace("Question: ", "")}],
            thinking=" " + config.thinking,
            answer=prefixed_answer(parts[1], config.answer_prefix),
            meta=kept(row, config.keep),
        )

    return examples_of_rows(config, context, example)


def prefixed_answer(answer: str, prefix: str) -> str:
    """Put the prefix before a raw answer unless it holds ``Answer:``, then strip both ends.

    White space between the two stays, because the published recipes strip after joining.
    """
    return (answer if "Answer:" in answer else prefix + answer).strip()
