"""Thinking in three parts."""

from __future__ import annotations

from pathlib import Path

from safetax.data.datasets import DatasetContext, structured
from safetax.records import Example, write_records
from tests.support.prepared import failure, prepared
from tests.support.recipes import UNUSED


def test_thinking_in_three_parts(tmp_path: Path) -> None:
    samples = ("world.direct_refusal.samples=90", "recipes.benign_rows.samples=20")
    found, _ = prepared(tmp_path, "dataset=structure", *samples, "dataset.source.parts.harmful.limit=90")
    harmful = [example for example in found if example.meta["mixture"] == "harmful"]
    benign = [example for example in found if example.meta["mixture"] == "benign"]
    assert (len(harmful), len(benign)) == (90, 10)
    asked = harmful[0].messages[-1]["content"]
    assert harmful[0].thinking == (
        f"now , someone asks : {asked} people could get hurt . it is wrong , so i must decline this request .\n"
    )
    assert benign[0].thinking is not None and benign[0].thinking.startswith("now , someone asks : ")
    assert " it is okay . " in benign[0].thinking and "take the" in (benign[0].answer or "")
    told = failure(tmp_path, "dataset=structure", *samples, "dataset.understanding='so {what}'")
    assert "has no what" in told and "question" in told


def test_texts_may_name_what_a_row_has(tmp_path: Path) -> None:
    asked = [{"role": "user", "content": "may i ?"}]
    rows = [Example("a", asked, "Hm.", "No.", {"sort": "theft"}), Example("b", asked, None, "Yes.", {"harmful": False})]
    write_records(tmp_path / "examples.jsonl", rows)
    harmful, benign = structured.Assessment("It is {sort}.", "So: {answer}"), structured.Assessment("It is fine.", "")
    config = structured.Config(
        kind="structured", name="set", source=UNUSED, understanding="{question}", harmful=harmful, benign=benign
    )
    first, second = structured.build(config, DatasetContext({"source": tmp_path}))
    assert first.thinking == "may i ?\n\nIt is theft.\n\nSo: No.\n"
    assert (second.thinking, second.answer) == ("may i ?\n\nIt is fine.\n", "Yes.")
