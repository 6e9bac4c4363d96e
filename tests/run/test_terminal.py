"""What the commands print: text as it is, and paths as a person types them."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from safetax.run import terminal
from safetax.run.terminal import add_row, counted, plain_table, say, shown
from safetax.run.view import PlainView


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


def test_what_models_and_servers_wrote_does_nothing_on_the_terminal() -> None:
    out = io.StringIO()
    console = Console(file=out, width=60, force_terminal=True, color_system=None)
    say(console, "\x1b]0;title\x07 and \u202egnp")
    table = plain_table("step")
    add_row(table, "\x1b[2J\x9b")
    console.print(table)
    PlainView(console).note("\x1b[1A")
    assert not set(out.getvalue()) & set("\x1b\x07\x9b\u202e")
    assert "\\x1b]0;title\\x07 and <U+202E>gnp" in out.getvalue() and "\\x1b[1A" in out.getvalue()


def test_a_path_below_the_working_folder_is_shown_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown(tmp_path / "outputs" / "runs") == "outputs/runs"
    assert shown(tmp_path.parent / "elsewhere") == str(tmp_path.parent / "elsewhere")


def test_what_takes_long_says_how_far_it_is_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(counted(range(3), "jobs planned")) == [0, 1, 2]
    assert capsys.readouterr().err == "", "it took no time"
    monkeypatch.setattr(terminal, "PATIENCE_IN_A_LOG", -1.0)
    assert list(counted(range(2000), "jobs planned")) == list(range(2000))
    told = capsys.readouterr()
    assert told.out == ""
    assert re.fullmatch(r"1,999 of 2,000 jobs planned, [\d,.]+ a second, .+ left", told.err.splitlines()[-1])
