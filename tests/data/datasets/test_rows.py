"""Data sets made of raw rows: which rows are taken, and what goes to an example's meta."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safetax.data.datasets import BadRowError, DatasetContext, Row
from safetax.data.datasets._rows import RowsDataset, allowed, chosen, each_of, examples_of_rows, kept, rows_needed
from safetax.errors import UserError
from safetax.records import Example
from tests.support.recipes import UNUSED, source

ROWS = [{"text": name, "sort": sort, "safe": safe} for name, sort, safe in zip("abcd", "xyxy", "1001", strict=True)]


def named(index: int, row: Row) -> Example:
    return Example(f"row-{index}", [{"role": "user", "content": row["text"]}])


def taken(folder: Path, rows: list[dict[str, Any]], where: dict[str, Any] | None = None, **settings: Any) -> list[str]:
    config = RowsDataset(kind="any", name="set", rows=source(folder, rows), **settings)
    return [example.id for example in examples_of_rows(config, DatasetContext(), named, where)]


def test_the_first_rows_that_have_the_values_asked_for(tmp_path: Path) -> None:
    assert taken(tmp_path, ROWS) == ["row-0", "row-1", "row-2", "row-3"]
    assert taken(tmp_path, ROWS, limit=2) == ["row-0", "row-1"]
    assert taken(tmp_path, ROWS, {"sort": "y"}) == ["row-1", "row-3"]
    assert taken(tmp_path, ROWS, {"sort": "y", "safe": ["1", "2"]}) == ["row-3"]
    assert taken(tmp_path, ROWS, {"sort": "y"}, limit=1) == ["row-1"]


def test_no_rows_at_all_name_the_file(tmp_path: Path) -> None:
    for where in ({}, {"sort": "y"}):
        with pytest.raises(UserError, match=r"dataset set: there are no rows in .*rows\.jsonl; fill it, or name"):
            taken(tmp_path, [], where)


def test_a_value_that_no_row_has_is_named_beside_those_there_are() -> None:
    with pytest.raises(UserError, match=r"dataset set: where\.sort=z lets none of 4 rows through; sort is x, y\."):
        list(chosen("set", ROWS, {"sort": "z"}))
    with pytest.raises(UserError, match=r"row 0 has no column kind, which where\.kind asks for; it has text, sort, sa"):
        list(chosen("set", ROWS, {"kind": "z"}))


@pytest.mark.parametrize(
    ("value", "wanted", "is_allowed"),
    [
        ("False", False, True),
        ("true", True, True),
        (" A ", ["a", "b"], True),
        (1, 1, True),
        (1, "1", False),
        (["x", "y"], "y", True),
        ({"x": True, "y": False}, "y", False),
        ({"x": True, "y": False}, "x", True),
        (None, "none", False),
    ],
)
def test_which_values_are_the_wanted_ones(value: Any, wanted: Any, is_allowed: bool) -> None:
    assert allowed(value, wanted) is is_allowed


def test_what_a_value_is_made_of() -> None:
    assert (each_of({"x": 1, "y": 0}), each_of(["x"]), each_of("x")) == (["x"], ["x"], ["x"])


def test_columns_kept_in_meta() -> None:
    assert kept(ROWS[0], {"category": "sort"}) == {"category": "x"} and kept(ROWS[0], None) == {}
    with pytest.raises(BadRowError, match="it has no column kind"):
        kept(ROWS[0], {"category": "kind"})


def test_a_limit_is_the_number_of_rows() -> None:
    assert rows_needed(RowsDataset(kind="any", name="set", rows=UNUSED, limit=7)).rows == 7
