"""Tables as files: CSV that programs read again, Markdown and LaTeX that hold any text."""

from __future__ import annotations

import csv
from pathlib import Path

from safetax.report.table_files import latex, markdown, write_csv

HEAD = ["model", "data", "tax"]
ROWS = [["m1", "a|b", "1.0 ± 0.5"], ["m1", "c", "-2.0"], ["m2", "50 % & more", "–"]]


def test_csv_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "table.csv", HEAD, [["m,1", 'a "b"\nc', None], ["m2", "d", 1.5]])
    with path.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [HEAD, ["m,1", 'a "b"\nc', ""], ["m2", "d", "1.5"]]


def test_markdown_keeps_bars_out_of_its_columns() -> None:
    lines = markdown(HEAD, ROWS, 2, "A note.").splitlines()
    assert all(line.replace("\\|", "").count("|") == 4 for line in lines[:5])
    assert lines[-1] == "A note." and "a\\|b" in lines[2]


def test_latex_escapes_text_and_has_a_rule_between_models() -> None:
    text = latex(HEAD, ROWS, 2, "One. Two")
    assert "50 \\% \\& more" in text and "$\\pm$" in text and "$-$2.0" in text
    assert text.count("\\midrule") == 2, "below the head, and between the models"
    assert text.startswith("% Needs \\usepackage{booktabs}.\n% One\n% Two\n")
