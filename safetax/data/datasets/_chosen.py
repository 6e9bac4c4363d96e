"""Which rows of a source a data set takes: those whose columns have the values that its ``where`` asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from safetax.data.datasets import Row
from safetax.errors import UserError


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
        UserError: a row has no such column, or no row is let through.
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
    if not count:
        column, wanted = next(iter(where.items()), ("", None))
        there = ", ".join(sorted({str(each) for row in rows for each in each_of(row[column])})[:8]) if column else ""
        raise UserError(
            f"dataset {name}: where.{column}={wanted} lets none of {len(rows)} rows through; {column} is "
            f"{there or 'in none of them'}."
            if column
            else f"dataset {name}: its source has no rows."
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
