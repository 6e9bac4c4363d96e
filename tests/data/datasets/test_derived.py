"""Data sets made of another one: how many rows they make, and where they find their inputs."""

from __future__ import annotations

from pathlib import Path

from safetax.data.datasets import DatasetContext, limo, s1k, subset
from safetax.data.datasets._derived import DerivedDataset, needs_of_source, rows_of_input
from safetax.records import Example, write_records
from tests.support.recipes import UNUSED


def test_they_make_as_many_rows_as_their_source_unless_they_say_otherwise() -> None:
    source = s1k.Config(kind="s1k", name="s1k", rows=UNUSED, limit=30)
    needs = needs_of_source(DerivedDataset(kind="any", name="set", source=source))
    assert (needs.rows, needs.row_tokens) == (30, 5000)
    few = subset.Config(kind="subset", name="few", source=limo.Config(kind="limo", name="limo", rows=UNUSED), limit=9)
    assert (subset.needs(few).rows, subset.needs(few).row_tokens) == (9, 7000)


def test_inputs_are_found_by_name(tmp_path: Path) -> None:
    rows = [Example("a", [{"role": "user", "content": "may i ?"}])]
    write_records(tmp_path / "examples.jsonl", rows)
    context = DatasetContext({"prompts": tmp_path})
    assert rows_of_input(context, "prompts") == rows
