"""Questions with a whole response of a reasoning model: thinking, its end tag and the answer in one text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from safetax.config.messages import show
from safetax.data.datasets import BadRowError, DatasetContext, OnBadRow, Row, shortened, text_in, value_in
from safetax.data.datasets._rows import RowsDataset, examples_of_rows, kept, meets, rows_needed
from safetax.data.datasets.direct_refusal import prefixed_answer
from safetax.errors import ConfigError
from safetax.records import Example


@dataclass(frozen=True, kw_only=True)
class Config(RowsDataset):
    """The first ``limit`` rows that ``where`` lets through (all when None), in their order."""

    question: str = "question"
    """Column with the question."""
    response: str = "response"
    """Column with thinking, end tag and answer."""
    open_thinking: str = "<think>"
    """Tag that the response may begin with; it is no part of the thinking."""
    end_thinking: str = "</think>"
    """Tag between thinking and answer; the first one counts."""
    where: dict[str, Any] = field(default_factory=dict)
    """Column -> the value that a row must have, or a list of values that it may have."""
    keep: dict[str, str] = field(default_factory=dict)
    """Name in the examples' meta -> the column it is taken from, such as ``category``."""
    harmful: bool | None = None
    """Whether the questions ask for harm, where all of them are alike; null: not known, or ``harmful_where`` says."""
    harmful_where: dict[str, Any] = field(default_factory=dict)
    """The same row by row: column -> the value, or a list of values, of rows whose questions ask for harm."""
    answer_prefix: str = ""
    """Put before answers that do not hold ``Answer:`` already; empty adds nothing."""
    on_bad_row: OnBadRow = "error"

    def __post_init__(self) -> None:
        """Check that there is an end tag, and one source for what is harmful."""
        if not self.end_thinking:
            raise ConfigError(
                "end_thinking='' parts no thinking from its answer: set the tag that stands between them, such as "
                "</think>; for thinking and answer in columns of their own set kind=table."
            )
        if self.harmful is not None and self.harmful_where:
            raise ConfigError(
                f"harmful={show(self.harmful)} does not go with harmful_where={show(self.harmful_where)}: set one of "
                "them, and the other to null or {}."
            )


needs = rows_needed


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Build the training examples; thinking and answer are stripped, and the thinking ends its line.

    ``meta["harmful"]`` is there where the configuration says of which questions it holds.

    Raises:
        UserError: a row lacks a column, a text, the end of its thinking or its answer, or no row is let through.
    """

    def example(index: int, row: Row) -> Example:
        thinking, answer = parts_of(text_in(row, config.response), config.open_thinking, config.end_thinking)
        return Example(
            id=f"traces-{index:05d}",
            messages=[{"role": "user", "content": text_in(row, config.question)}],
            thinking=thinking + "\n",  # formats that keep white space want the next marker on a line of its own
            answer=prefixed_answer(answer, config.answer_prefix),
            meta={**harmfulness(config, row), **kept(row, config.keep)},
        )

    return examples_of_rows(config, context, example, config.where)


def parts_of(response: str, opening: str, end: str) -> tuple[str, str]:
    """Return the thinking and the answer of a response, both stripped.

    Args:
        response: thinking, end tag and answer.
        opening: tag that may stand before the thinking; empty: none does.
        end: tag behind the thinking; later ones are part of the answer.

    Raises:
        BadRowError: there is no end tag, no answer, or an opening tag inside the thinking.
    """
    thinking, found, answer = response.partition(end)
    if not found:
        raise BadRowError(f"its response has no {end}", shortened(response[-30:]))
    thinking = thinking.strip()
    if opening:
        thinking = thinking.removeprefix(opening).strip()
        if opening in thinking:
            raise BadRowError(f"its response has {opening} in the midst of its thinking", shortened(thinking))
    if not answer.strip():
        raise BadRowError(f"its answer behind {end} is empty")
    return thinking, answer.strip()


def harmfulness(config: Config, row: Row) -> Mapping[str, bool]:
    """Return what the configuration says of a row's question: ``harmful``, or nothing.

    Raises:
        BadRowError: the row lacks a column that says it.
    """
    if config.harmful is not None:
        return {"harmful": config.harmful}
    for column in config.harmful_where:
        value_in(row, column)
    return {"harmful": meets(row, config.harmful_where)} if config.harmful_where else {}
