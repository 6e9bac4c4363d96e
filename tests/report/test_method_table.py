"""The table of methods, and what refining their data changed."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from safetax.report.method_table import write_method_tables
from safetax.results.document import Results
from safetax.results.method_rows import last_rows, method_rows
from safetax.results.pareto import fronts
from tests.support.documents import without
from tests.support.synthetic_methods import FIVE


def test_the_table_of_methods_holds_every_method_and_its_front(few: Results, tmp_path: Path) -> None:
    rows = method_rows(few)
    last = last_rows(rows)
    assert {row.curve.label for row in last} == set(FIVE) and len(rows) == 10
    taxes = [row.point.scores["safety_tax"].mean for row in last]
    assert taxes == sorted(taxes)
    refined = next(row for row in last if row.curve.label == "dgr_direct_refusal")
    assert refined.before is not None and refined.after is not None and refined.fallback is not None
    assert 2 <= refined.fallback.mean <= 12 and refined.fallback.sd is not None
    assert refined.distinct == (1000,) and len(refined.point.checkpoints) == 2
    places = {(place.curve, place.epochs) for held in fronts(few) for place in held}
    assert {(few.curves.index(row.curve), row.epochs) for row in rows if row.on_front} == {p for p in places if p[1]}
    paths = write_method_tables(few, tmp_path)
    table = list(csv.DictReader((tmp_path / "methods.csv").read_text().splitlines()))
    assert len(table) == 10
    (line,) = [line for line in table if (line["method"], line["epochs"]) == ("safechain", "5")]
    assert float(line["shift_after"]) == pytest.approx(4.3) and line["shift_before"] == ""
    assert line["shift_after_sd"] == "" and float(line["shift_after_low"]) == pytest.approx(0.96 * 4.3)
    markdown = (tmp_path / "methods.md").read_text()
    assert "14.20 → 1." in markdown and "Pareto" in markdown and markdown.count("\n| lab ") == 5
    tex = (tmp_path / "methods.tex").read_text()
    assert "$\\rightarrow$" in tex and "self\\_kl" in tex
    assert write_method_tables(without(few, "data", "shift", "method"), tmp_path) == []
    assert not any(path.exists() for path in paths)
