"""Data sets that are made of raw rows: which rows of the source are taken, and the examples made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from safetax.config.components import RowsConfig
from safetax.config.fields import AtLeast, HashedUnless, Kind, Label
from safetax.config.needs import Needs
from safetax.data.datasets import DatasetContext, OnBadRow, Row, examples_of, value_in
from safetax.data.sources import load_rows
from safetax.errors import UserError
from safetax.records import Example


@dataclass(frozen=True, kw_only=True)
class RowsDataset:
    """What every data set has that makes an example of each row of a source."""

    kind: str
    name: Annotated[str, Label()]
    rows: Annotated[RowsConfig, Kind("rows")]
    limit: Annotated[int, AtLeast(1)] | None = None
    """How many rows are taken at most, from the first on; null: all."""
    on_bad_row: Annotated[OnBadRow, HashedUnless("error")] = "error"


def rows_needed(config: RowsDataset) -> Needs:
    """Return how many rows a data set makes."""
    return Needs(rows=config.limit)


def examples_of_rows(
    config: RowsDataset,
    context: DatasetContext,
    make: Callable[[int, Row], Example],
    where: Mapping[str, Any] | None = None,
) -> list[Example]:
    """Load a data set's rows, take those it asks for, and make an example of each.

    Args:
        config: the data set.
        context: takes the counts of bad rows in.
        make: makes the example of a row, or raises BadRowError.
        where: column -> the value that a row must have, or a list of values that it may have.

    Raises:
        UserError: the rows cannot be read, rows are bad and may not be skipped, or none is left.
    """
    rows = chosen(config.name, load_rows(config.rows), where or {}, config.limit)
    return examples_of(rows, make, config, context)


def kept(row: Row, keep: Mapping[str, str] | None) -> dict[str, Any]:
    """Return what of a row goes to its example's meta: name -> the value in the column that ``keep`` says."""
    return {name: value_in(row, column) for name, column in (keep or {}).items()}


def chosen(
    name: str, rows: list[dict[str, Any]], where: Mapping[str, Any], limit: int | None = None
) -> Iterator[tuple[int, Row]]:
    """Yield the first ``limit`` rows that are let through (all when None), with their index in the source.

    Args:
        name: the data set, for messages.
        rows: the rows of the source.
        where: column -> the value that a row must have, or a list of values that it may have.
        limit: how many rows are yielded at most.

    Raises:
        UserError: a row has no such column, or ``where`` lets none through.
    """
    count = 0
    for index, row in enumerate(rows):
        for column in where:
            if column not in row:
                raise UserError(
                    f"dataset {name}: row {index} has no column {column}, which where.{column} asks for; it has "
                    f"{', '.join(map(str, row))}."
                )
        if meets(row, where):
            yield index, row
            count += 1
            if count == limit:
                return
    if rows and not count:
        raise none_let_through(name, rows, where)


def none_let_through(name: str, rows: Sequence[Row], where: Mapping[str, Any]) -> UserError:
    """Return the error that says which values there are, where no row has those asked for."""
    column, wanted = next(iter(where.items()))
    there = ", ".join(sorted({str(each) for row in rows if column in row for each in each_of(row[column])})[:12])
    names = ", ".join(sorted({name for row in rows for name in row})) or "nothing"
    return UserError(
        f"dataset {name}: where.{column}={wanted} lets none of {len(rows)} rows through; {column} is "
        f"{there or f'in none of them (they have {names})'}."
    )


def meets(row: Row, where: Mapping[str, Any]) -> bool:
    """Whether a row, which has all these columns, has the values asked for."""
    return all(allowed(row[column], wanted) for column, wanted in where.items())


def allowed(value: Any, wanted: Any) -> bool:
    """Whether a row's value is the wanted one or among them; files without types have ``False`` as text.

    Of a value that is several, as a row's categories are, one is enough: of a list, or of the names of a mapping that
    apply.
    """
    choices = wanted if isinstance(wanted, list) else [wanted]
    return any(
        each == choice or (isinstance(each, str) and _plain(each) == _plain(choice))
        for each in each_of(value)
        for choice in choices
    )


def each_of(value: Any) -> list[Any]:
    """Return what a row's value is made of: the entries of a list, the names of a mapping that apply, or itself."""
    if isinstance(value, Mapping):
        return [name for name, applies in value.items() if applies]
    return value if isinstance(value, list) else [value]


def _plain(value: Any) -> str:
    return str(value).strip().lower()
