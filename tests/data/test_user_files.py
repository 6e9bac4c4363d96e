"""Files that a user names: what is there, in words, and what can be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from safetax.data.hub import model_facts
from safetax.data.user_files import SHOWN, check_file, expanded, kind_of, shown
from safetax.errors import ConfigError
from safetax.evaluation.judging.instructions import read_instruction


def test_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    found = {name: kind_of(tmp_path / name, "path") for name in ("file", "fifo", "nowhere", "absent", "file/below", "")}
    assert found == {
        "file": "file",
        "fifo": "a FIFO",
        "nowhere": None,
        "absent": None,
        "file/below": None,
        "": "folder",
    }
    assert kind_of(Path("/dev/null"), "path") == "a device"


def test_a_path_is_shown_shortly_and_without_control_characters() -> None:
    assert shown("a\x1b[31m\u202eb") == "a?[31m?b"
    assert len(shown("x" * 5000)) == SHOWN and shown("x" * 5000 + ".json").endswith(".json")


def test_homes_are_put_in() -> None:
    assert expanded("~/rows.jsonl", "path") == Path.home() / "rows.jsonl"
    with pytest.raises(ConfigError, match="path=~no-such-user/x: there is no such user; write the whole path"):
        expanded("~no-such-user/x", "path")


def test_a_file_has_a_size_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(3 * 2**20))
    check_file(path, "path", None)
    check_file(path, "path", 3 * 2**20)
    with pytest.raises(ConfigError, match=r"path=.*file: it has 3 MiB; allowed are up to 2\. Name a smaller file"):
        check_file(path, "path", 2 * 2**20)


def test_models_and_templates_are_no_fifos(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError, match=r"template=.*fifo: this is a FIFO; allowed is a regular file"):
        read_instruction(str(tmp_path / "fifo"), ["prompt"])
    with pytest.raises(ConfigError, match=r"id=.*fifo: this is a FIFO; name the folder of a saved model"):
        model_facts(str(tmp_path / "fifo"), None)
    (tmp_path / "config.json").write_text("{}")
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match=r"id=.*model\.safetensors is no file"):
        model_facts(str(tmp_path), None)
    with pytest.raises(ConfigError, match="the name is too long for this file system"):
        model_facts("/" + "x" * 300, None)
