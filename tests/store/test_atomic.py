"""Files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetax.store.atomic import replacing


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
