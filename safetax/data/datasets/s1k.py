"""s1K: reasoning problems with a stronger model's traces and answers."""

from __future__ import annotations

from dataclasses import dataclass

from safetax.config.needs import Needs
from safetax.data.datasets import BadRowError, DatasetContext, Row, shortened, text_in, value_in
from safetax.data.datasets._rows import RowsDataset, examples_of_rows
from safetax.records import Example


@dataclass(frozen=True, kw_only=True)
class Config(RowsDataset):
    """The first ``limit`` rows (all when None) with ``question``, ``thinking_trajectories`` and ``attempt``.

    ``answer_prefix`` is put before every answer; empty adds nothing.
    """

    answer_prefix: str = ""


def needs(config: Config) -> Needs:
    """Return how many rows it makes, and how long they are; as published where nothing else is set."""
    return Needs(rows=config.limit or 1000, row_tokens=5000)


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Build the training examples. Raises UserError when a row lacks a text."""

    def example(index: int, row: Row) -> Example:
        return reasoning_example(f"s1k-{index:05d}", row, trace_in(row), text_in(row, "attempt"), config.answer_prefix)

    return examples_of_rows(config, context, example)


def trace_in(row: Row) -> str:
    """Return the trace of a row: its trajectories, one after the other, or the one text that stands there instead."""
    trajectories = value_in(row, "thinking_trajectories")
    if isinstance(trajectories, list) and all(isinstance(part, str) for part in trajectories):
        trajectories = "\n".join(trajectories)
    if not isinstance(trajectories, str):
        raise BadRowError("its thinking_trajectories are no list of texts", f"but {shortened(trajectories)}")
    if not trajectories.strip():
        raise BadRowError("its column thinking_trajectories is empty")
    return trajectories


def reasoning_example(name: str, row: Row, trace: str, answer: str, prefix: str) -> Example:
    """Return a training example of a reasoning problem, with white space as the published rows have it.

    The trace is stripped and ends its line; the answer is stripped after the prefix was put before it.
    """
    return Example(
        id=name,
        messages=[{"role": "user", "content": text_in(row, "question")}],
        thinking=trace.strip() + "\n",
        answer=(prefix + answer).strip(),
    )
