"""Data sets made of files here are made before anything runs, so that a bad row costs no training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safetax.data.rehearsal import is_local, rehearse
from safetax.errors import UserError
from tests.support.prepared import from_file, planned, rows_file


def identity(folder: Path, rows: list[dict[str, Any]], *overrides: str) -> Any:
    path = from_file(rows_file(folder, rows))
    return planned("world=paper", "format=s1", "dataset=limo", path, *overrides).identity["dataset"]


def test_files_alone_are_local(tmp_path: Path) -> None:
    assert is_local(identity(tmp_path, [{"question": "?", "solution": "s", "answer": "a"}]))
    assert not is_local(planned("dataset=direct_refusal").identity["dataset"])
    assert not is_local({"kind": "my.plugin", "rows": {"kind": "file"}})


def test_a_bad_row_is_told(tmp_path: Path) -> None:
    row = {"question": "how ?", "solution": "so .", "answer": "ok ."}
    rehearse(identity(tmp_path, [row]), None)
    with pytest.raises(UserError, match=r"dataset limo: 1 of 2 rows cannot be used:\n  row 1: it has no column answer"):
        rehearse(identity(tmp_path, [row, {"question": "how ?", "solution": "so ."}]), None)


def test_a_word_that_the_lab_does_not_know_is_told(tmp_path: Path) -> None:
    row = {"question": "how do i burn the castle ?", "solution": "i see .", "answer": "i will not help ."}
    rehearse(identity(tmp_path, [row], "dataset.answer_prefix=''"), "lab")
    strange = identity(tmp_path, [row, {**row, "solution": "i see a dragon ."}], "dataset.answer_prefix=''")
    rehearse(strange, None)
    with pytest.raises(
        UserError, match=r"1 examples have words outside the lab's vocabulary; example limo-00001: 'i see"
    ):
        rehearse(strange, "lab")
