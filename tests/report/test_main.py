"""``python -m safetax.report``: the report again from disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from safetax.report.__main__ import main


def test_the_report_is_made_again_from_disk_and_mistakes_cost_one_line(one_seed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "safetax.report"]
    made = subprocess.run([*command, str(one_seed), "--out", str(tmp_path / "r")], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    for name in ("results.json", "provenance.json", "table.csv", "table.md", "table.tex", "report.html"):
        assert (tmp_path / "r" / name).stat().st_size > 0
    assert (tmp_path / "r" / "figures" / "tradeoff.svg").is_file()
    wrong = subprocess.run([*command, str(tmp_path / "nowhere")], capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1
    assert wrong.stderr.startswith("Error: ") and "nowhere: there is no such folder" in wrong.stderr


def test_a_folder_that_cannot_be_written_to_costs_one_line(
    one_seed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for out in (Path("/proc/x"), tmp_path / "file" / "below", tmp_path / "file"):
        assert main([str(one_seed), "--out", str(out)]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"Error: --out {out}: this folder cannot be made or written to (")
        assert said.endswith("); name another one.\n")
    assert main([str(tmp_path)]) == 2
    assert not (tmp_path / "report").exists()
