"""Data sets that are made of the rows of another one, which is a step of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from safetax.config.components import DatasetConfig
from safetax.config.fields import Kind, Label
from safetax.config.needs import Needs, needs_of
from safetax.data.datasets import DatasetContext
from safetax.records import Example, read_records


@dataclass(frozen=True, kw_only=True)
class DerivedDataset:
    """What every data set has that is made of another one."""

    kind: str
    name: Annotated[str, Label()]
    source: Annotated[DatasetConfig, Kind("datasets")]


def needs_of_source(config: DerivedDataset, rows: int | None = None) -> Needs:
    """Return how many rows a derived data set makes (as its source, unless told), and how long they are."""
    source = needs_of("datasets", config.source)
    return Needs(rows=rows or source.rows, row_tokens=source.row_tokens)


def rows_of_input(context: DatasetContext, name: str = "source") -> list[Example]:
    """Return the rows of an input of a data set."""
    return read_records(context.inputs[name] / "examples.jsonl", Example)
