"""Compiled code is kept for later trainings, and a lock that a killed process left behind stops none of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from safetax.training import native_code


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def compiled(folder: Path, name: str, content: str) -> Path:
    """Leave what torch leaves in its folder, lock included."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / native_code.LOCK).touch()
    (folder / name / "build.ninja").write_text("rules")
    library = folder / name / f"{name}.so"
    library.write_text(content)
    return library


def test_the_first_training_begins_with_nothing(tmp_path: Path) -> None:
    environment = native_code.prepare_build_folder(tmp_path / "native")
    assert environment["TORCH_EXTENSIONS_DIR"] == str(tmp_path / "native")
    assert list((tmp_path / "native").iterdir()) == []


def test_what_one_training_compiled_the_next_one_has_without_its_lock(tmp_path: Path) -> None:
    library = compiled(tmp_path / "first", "adam", "compiled")
    native_code.keep_builds(tmp_path / "first")
    native_code.prepare_build_folder(tmp_path / "second")
    again = tmp_path / "second" / "adam" / "adam.so"
    assert again.read_text() == "compiled"
    assert again.stat().st_mtime_ns == library.stat().st_mtime_ns  # else ninja would compile it again
    assert sorted(path.name for path in again.parent.iterdir()) == ["adam.so", "build.ninja"]


def test_a_killed_attempt_leaves_no_lock_to_the_next(tmp_path: Path) -> None:
    compiled(tmp_path / "native", "adam", "half")
    native_code.prepare_build_folder(tmp_path / "native")
    assert list((tmp_path / "native").iterdir()) == []


def test_newer_code_takes_the_place_of_older(tmp_path: Path) -> None:
    for content, when in (("old", 1_000), ("new", 2_000), ("old", 1_000)):
        os.utime(compiled(tmp_path / content, "adam", content), (when, when))
        native_code.keep_builds(tmp_path / content)
    assert (native_code.cache_folder() / "adam" / "adam.so").read_text() == "new"
    assert [path.name for path in native_code.cache_folder().parent.iterdir()] == [native_code.cache_folder().name]


def test_another_processor_has_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    here = native_code.cache_folder()
    monkeypatch.setattr(native_code, "_processor", lambda: "another")
    assert native_code.cache_folder() != here


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path: Path, home: Path) -> None:
    home.write_text("a file where the folder should be")
    compiled(tmp_path / "first", "adam", "compiled")
    native_code.keep_builds(tmp_path / "first")
    native_code.prepare_build_folder(tmp_path / "second")
    assert list((tmp_path / "second").iterdir()) == []
