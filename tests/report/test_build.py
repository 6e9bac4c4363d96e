"""The whole report of a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from safetax.report.build import build_report
from safetax.report.sections import category_tables
from safetax.results.collect import collect
from safetax.results.method_rows import method_rows
from safetax.results.sample_counts import find_series
from tests.support.documents import without
from tests.support.plots import captions
from tests.support.synthetic import make_outputs


def test_a_document_that_knows_nothing_of_data_makes_the_report_it_made(tmp_path: Path) -> None:
    outputs = make_outputs(tmp_path / "outputs", ["safechain", "direct_refusal"], (0, 1), (0,), prompts=10)
    collected = collect([outputs])
    old = without(collected.results, "data", "shift", "method")
    assert method_rows(old) == [] and category_tables(old) == [] and find_series(old) == []
    assert list(captions(old)) == ["epochs", "tradeoff", "refusal"]
    text = build_report(replace(collected, results=old), tmp_path / "report").read_text()
    assert (tmp_path / "report" / "results.json").is_file() and not (tmp_path / "report" / "methods.csv").exists()
    for section in ("methods", "categories"):
        assert f'id="{section}"' not in text and f'href="#{section}"' not in text
