"""Data recipes and prompt sets. Each module has a ``Config`` and ``build(config, context)``, which returns examples.

A module with ``ON_POLICY = True`` builds from the outputs of earlier steps, found in ``context.inputs`` by name.
One with ``MAY_BE_EMPTY = True`` may return none.
``needs(config)`` (optional) says what it needs to run: :mod:`safetax.config.needs`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from safetax.errors import UserError
from safetax.records import Example

Row = Mapping[str, Any]
"""A raw row, as its source has it."""

OnBadRow = Literal["error", "skip"]
"""What becomes of a row that a recipe cannot use."""

DEEPEST = 50
"""Levels of lists and objects that what is kept of a row may have."""
SHOWN = 5
"""Bad rows that are named one by one."""


@dataclass(frozen=True)
class DatasetContext:
    """What a data set is built with besides its configuration."""

    inputs: Mapping[str, Path] = field(default_factory=dict)
    """Folders of the steps that an on-policy data set is built from, by name."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the data set's own names were resolved to when its step was planned."""
    summary: dict[str, Any] = field(default_factory=dict)
    """What the data set adds to the step's summary, such as how many rows it left out."""


class BadRowError(Exception):
    """A row that a recipe cannot use.

    Args:
        reason: what is wrong, in the same words for every such row; rows are counted by it.
        detail: what this row has instead.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}{detail and f' ({detail})'}")
        self.reason = reason


class RowwiseConfig(Protocol):
    """The configuration of a data set that is made row by row."""

    @property
    def name(self) -> str:
        """The data set's name."""
        ...

    @property
    def on_bad_row(self) -> OnBadRow:
        """``error``: a bad row ends everything; ``skip``: it is left out and counted."""
        ...


def examples_of(
    rows: Iterable[tuple[int, Row]],
    make: Callable[[int, Row], Example],
    config: RowwiseConfig,
    context: DatasetContext,
    empty: bool = False,
) -> list[Example]:
    """Make an example of each row; what is skipped is counted in the summary, by reason.

    Args:
        rows: the rows with their index in the source.
        make: makes the example of a row, or raises BadRowError.
        config: the data set.
        context: takes the counts in.
        empty: whether no row need be left.

    Raises:
        UserError: rows are bad and ``on_bad_row`` is ``error``, or no row is left.
    """
    examples: list[Example] = []
    bad: list[str] = []
    skipped: dict[str, int] = {}
    total = 0
    for index, row in rows:
        total += 1
        try:
            example = make(index, row)
            check_kept([example.messages, example.thinking, example.answer, example.meta])
            examples.append(example)
        except BadRowError as error:
            bad.append(f"row {index}: {error}")
            skipped[error.reason] = skipped.get(error.reason, 0) + 1
    named = "".join(f"\n  {line}" for line in bad[:SHOWN])
    if len(bad) > SHOWN:
        named += f"\n  and {len(bad) - SHOWN} more"
    if bad and config.on_bad_row == "error":
        raise UserError(
            f"dataset {config.name}: {len(bad)} of {total} rows cannot be used:{named}\n"
            "Mend them, or set dataset.on_bad_row=skip to leave such rows out."
        )
    if not examples and not empty:
        none = f"none of {total} rows can be used" if total else f"there are no rows{_place(config)}"
        raise UserError(f"dataset {config.name}: {none}.{named}")
    if bad:
        before = context.summary.get("skipped", {})
        counts = {reason: before.get(reason, 0) + skipped.get(reason, 0) for reason in [*before, *skipped]}
        first = [*context.summary.get("first_skipped", []), *bad][:SHOWN]
        context.summary.update(skipped=counts, first_skipped=first)
    return examples


def _place(config: RowwiseConfig) -> str:
    """Return in which file or repository a data set's rows are looked for, and what to do where there are none."""
    rows = getattr(config, "rows", None)
    found = next((name for name in ("path", "id") if getattr(rows, name, None)), None)
    return "" if found is None else f" in {getattr(rows, found)}; fill it, or name another with dataset.rows.{found}"


def check_kept(value: Any, depth: int = 0) -> None:
    """Check that a file of JSON lines can keep a value. Raises BadRowError where it cannot."""
    if depth > DEEPEST:
        raise BadRowError(f"it has lists or objects nested more than {DEEPEST} deep")
    if isinstance(value, str):
        if "\0" in value:
            raise BadRowError("its text holds a NUL character", shortened(value))
        if not value.isascii() and (half := re.search(r"[\ud800-\udfff]", value)):
            raise BadRowError("its text holds half of a surrogate pair", f"U+{ord(half[0]):04X}")
    elif isinstance(value, float) and not math.isfinite(value):
        raise BadRowError("it holds a number that JSON does not have", str(value))
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            check_kept(key, depth + 1)
            check_kept(entry, depth + 1)
    elif isinstance(value, list | tuple):
        for entry in value:
            check_kept(entry, depth + 1)


def text_in(row: Row, column: str) -> str:
    """Return the text in a row's column. Raises BadRowError where there is none."""
    value = value_in(row, column)
    if not isinstance(value, str):
        raise BadRowError(f"its column {column} holds no text", f"but {shortened(value)}")
    if not value.strip():
        raise BadRowError(f"its column {column} is empty")
    check_kept(value)
    return value


def value_in(row: Row, column: str) -> Any:
    """Return what stands in a row's column. Raises BadRowError where there is no such column."""
    if column not in row:
        raise BadRowError(
            f"it has no column {column}",
            f"it has {', '.join(map(str, row)) or 'none'}; say which one it is with dataset.rows.columns.{column}=..",
        )
    return row[column]


def shortened(value: Any) -> str:
    """Return a value as it would be typed in Python, at most 60 characters of it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
