"""Tables of checkpoints, as files and in the terminal."""

from __future__ import annotations

import csv
from pathlib import Path

from safetax.report.tables import latex_table, markdown_table, terminal_table, write_tables
from safetax.results.collect import collect
from safetax.results.table_rows import table_rows
from tests.support.documents import checkpoint_of


def test_tables_hold_every_checkpoint_and_escape_names(one_seed: Path, three_seeds: Path, tmp_path: Path) -> None:
    one, three = collect([one_seed]).results, collect([three_seeds]).results
    write_tables(one, tmp_path)
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert len(rows) == len(one.checkpoints) == 6
    aligned = checkpoint_of(one, dataset="safechain", epochs=5.0)
    (row,) = [row for row in rows if (row["dataset"], row["epochs"]) == ("safechain", "5")]
    assert float(row["safety_tax"]) == aligned.scores["safety_tax"].value
    assert float(row["accuracy_low"]) == aligned.scores["accuracy"].low and row["accuracy_n"] == "60"
    assert len(table_rows(three)) == 6 and all(row.seeds == 3 for row in table_rows(three))
    assert "±" in markdown_table(three) and "±" not in markdown_table(one).split("\n\n")[0]
    assert "direct\\_refusal" in latex_table(one) and "direct_refusal" not in latex_table(one)
    for line in latex_table(three).splitlines():
        assert not line.startswith(" lab") or line.count("&") == 13


def test_the_terminal_table_fits_80_columns(three_seeds: Path) -> None:
    from rich.console import Console

    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(terminal_table(collect([three_seeds]).results))
    text = console.export_text()
    assert "direct_refusal" in text and "…" not in text and "×3" in text
