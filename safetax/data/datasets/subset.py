"""A few rows of another data set: nested over limits, of chosen categories, repeated where steps are held equal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import Annotated, Any

from safetax.config.fields import AtLeast
from safetax.config.needs import Needs
from safetax.data.datasets import DatasetContext
from safetax.data.datasets._derived import DerivedDataset, needs_of_source, rows_of_input
from safetax.data.datasets._rows import allowed, none_let_through
from safetax.errors import ConfigError, UserError
from safetax.records import Example


@dataclass(frozen=True, kw_only=True)
class Config(DerivedDataset):
    """The first ``limit`` rows of ``source`` (all when None) in the order of a draw.

    Every ``draw`` is an order of its own; None is the source's. Smaller limits of one draw are parts of larger ones.
    With ``total`` the chosen rows come again, in rounds, until there are so many, so that the optimiser steps of an
    epoch are the same for every limit.
    """

    limit: Annotated[int, AtLeast(1)] | None = None
    draw: Annotated[int, AtLeast(0)] | None = None
    where: dict[str, Any] = field(default_factory=dict)
    """Name in the rows' meta -> the value that a row must have, or a list of values that it may have.

    Of a row's several values, such as its categories, one is enough.
    """
    total: Annotated[int, AtLeast(1)] | None = None

    def __post_init__(self) -> None:
        """Check that the total has room for each chosen row once."""
        if self.limit is not None and self.total is not None and self.total < self.limit:
            raise ConfigError(
                f"total={self.total} is less than limit={self.limit}; allowed is at least that number, or null for "
                "each once."
            )


def needs(config: Config) -> Needs:
    """Return how many rows it makes, and how long they are: what its source says of them."""
    return needs_of_source(config, config.total or config.limit)


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Choose the rows; the summary says how many are ``distinct``, and which ``draw`` it was.

    Raises:
        UserError: ``where`` lets no row through, or there are fewer than ``limit``.
    """
    source = rows_of_input(context)
    rows = [row for row in source if all(allowed(row.meta.get(name), wanted) for name, wanted in config.where.items())]
    if not source:
        raise UserError(f"dataset {config.name}: its source has no rows.")
    if not rows:
        raise none_let_through(config.name, [row.meta for row in source], config.where)
    if config.limit is not None and config.limit > len(rows):
        raise UserError(
            f"dataset {config.name}: limit={config.limit}, and there are {len(rows)} rows"
            f"{' that where lets through' if config.where else ''}; allowed is up to that number, or null for all."
        )
    if config.draw is not None:
        Random(f"draw {config.draw}").shuffle(rows)
    chosen = rows[: config.limit]
    context.summary.update(distinct=len(chosen), draw=config.draw)
    total = len(chosen) if config.total is None else config.total
    if total < len(chosen):
        raise UserError(
            f"dataset {config.name}: total={total} is less than the {len(chosen)} rows that are chosen; allowed is at "
            "least that number, or null for each once."
        )
    known = {row.id for row in chosen}
    names = {row.id: _repetitions(row.id, known) for row in chosen}
    repeated = (chosen[at % len(chosen)] for at in range(len(chosen), total))
    return [*chosen, *(replace(row, id=next(names[row.id])) for row in repeated)]


def _repetitions(name: str, known: set[str]) -> Iterator[str]:
    """Yield the ids of a row's repetitions; the source may have repetitions of its own."""
    return (again for time in count(1) if (again := f"{name}-again{time}") not in known)


def original_of(name: str) -> str:
    """Return the id of the row that a row repeats, by its own id, or that id where it repeats none.

    Whoever takes rows of a subset and keeps their ids, or puts something before them, keeps what they repeat.
    """
    return re.sub(r"(-again\d+)+$", "", name)
