"""What the commands print: text as it is, and paths as a person types them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from safetax.run.terminal import add_row, plain_table, say, shown


def test_markup_and_long_lines_are_printed_as_they_are() -> None:
    text = "outputs/[bold]x[/bold] " + "a" * 100
    out = io.StringIO()
    say(Console(file=out, width=40), text)
    assert out.getvalue() == text + "\n"


def test_text_in_a_table_is_no_markup() -> None:
    out = io.StringIO()
    table = plain_table("step", ">time")
    add_row(table, "[red]x[/red]", "1 s")
    Console(file=out, width=60).print(table)
    assert "[red]x[/red]" in out.getvalue()


def test_a_path_below_the_working_folder_is_shown_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown(tmp_path / "outputs" / "runs") == "outputs/runs"
    assert shown(tmp_path.parent / "elsewhere") == str(tmp_path.parent / "elsewhere")
