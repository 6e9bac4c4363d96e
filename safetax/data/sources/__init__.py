"""Row sources: where a recipe's raw rows come from.

Each module has a ``Config``, ``load(config)`` and, where its rows can change, ``resolve(config)``. A config may have
``columns``, which says for a column of ours which one of theirs it is.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from safetax.config.components import RowsConfig, calling, component_module, component_name
from safetax.config.identity import restore
from safetax.config.messages import nearest
from safetax.config.plugins import checked_rows
from safetax.errors import UserError


def load_rows(config: RowsConfig) -> list[dict[str, Any]]:
    """Return the raw rows of a source under our names of their columns; other columns keep theirs.

    Raises:
        UserError: the rows cannot be read, or none of them has a column that ``columns`` names.
    """
    module = sys.modules[type(config).__module__]
    with calling("rows", module.__name__):
        rows = checked_rows(module.load(config), component_name("rows", module.__name__))
    return renamed(rows, getattr(config, "columns", {}))


def renamed(rows: list[dict[str, Any]], columns: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return rows with columns renamed from theirs to ours.

    Raises:
        UserError: no row has one of these columns.
    """
    if not columns or not rows:
        return rows
    there = list(dict.fromkeys(column for row in rows for column in row))
    for ours, theirs in columns.items():
        if theirs not in there:
            raise UserError(
                f"columns.{ours}={theirs}: the rows have no such column.{nearest(theirs, map(str, there))} Allowed are "
                f"{', '.join(map(str, there))}."
            )
    ours_of = {theirs: ours for ours, theirs in columns.items()}
    return [
        {
            **{column: value for column, value in row.items() if column not in ours_of and column not in columns},
            **{ours: row[theirs] for ours, theirs in columns.items() if theirs in row},
        }
        for row in rows
    ]


def check_unchanged(values: Any) -> None:
    """Check that the row sources in a data set's identity are still what they were when its step was planned.

    Raises:
        UserError: a file has changed since.
    """
    if not isinstance(values, Mapping):
        return
    rows = values.get("rows")
    if isinstance(rows, Mapping) and "resolved" in rows:
        config = restore("rows", rows)
        resolve = getattr(component_module("rows", rows["kind"]), "resolve", None)
        known = {key: value for key, value in rows["resolved"].items() if key != "code"}
        if resolve is not None and (resolve(config) or {}) != known:
            place = rows.get("path", rows["kind"])
            raise UserError(f"{place} has changed since this step was planned; run the same command again.")
    for value in values.values():
        check_unchanged(value)
