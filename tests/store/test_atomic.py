"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from safetax.errors import UserError, explained
from safetax.store.atomic import discard, replacing


def write(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("new")


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "values"
    with replacing(path) as temporary:
        temporary.write_text("old")
        assert not path.exists() and temporary.parent == path.parent
    with replacing(path) as temporary:
        temporary.write_text("ne")
        assert path.read_text() == "old"
        temporary.write_text("new")
    assert path.read_text() == "new" and list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "values"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_two_at_once_do_not_write_into_each_other(tmp_path: Path) -> None:
    path, beside = tmp_path / "step" / "values", tmp_path
    with replacing(path, beside) as first, replacing(path, beside) as second:
        first.write_text("first")
        second.write_text("second")
        assert first.parent == second.parent == beside and list(path.parent.iterdir()) == []
    assert path.read_text() == "first"


def test_a_folder_in_the_place_of_the_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "values").mkdir()
    with pytest.raises(UserError, match=r"/values: a folder stands in the place of something else; remove it"):
        write(tmp_path / "values")
    assert [path.name for path in tmp_path.iterdir()] == ["values"]


def test_a_file_in_the_place_of_the_folder_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(UserError, match=r"/folder: a file stands in the place of something else; remove it"):
        write(tmp_path / "folder" / "below" / "values")


def test_a_write_that_does_not_fit_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(OSError) as told, replacing(tmp_path / "values"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert told.value.filename == str(tmp_path / "values")
    words = explained(told.value)
    assert words.startswith(f"{tmp_path / 'values'}: the disk is full (") and f"MB free in {tmp_path})" in words


def test_discard_removes_what_stands_there_and_no_more(tmp_path: Path) -> None:
    folder, link = tmp_path / "folder", tmp_path / "link"
    (folder / "deep").mkdir(parents=True)
    link.symlink_to(folder)
    for path in (link, tmp_path / "nothing"):
        discard(path)
    assert folder.is_dir() and not link.is_symlink()
    discard(folder)
    assert list(tmp_path.iterdir()) == []
