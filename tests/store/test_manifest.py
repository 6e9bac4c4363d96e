"""Manifests on disk: written whole, mended when a copy has other times, and cleared under a writer."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from safetax.store.locks import locked
from safetax.store.manifest import clear, read_json, write_json
from safetax.store.status import Store
from safetax.store.step import Step
from tests.support.tiny_steps import chats


def examples(store: Store, step: Step) -> Path:
    return store.directory(step) / "examples.jsonl"


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "values.json"
    write_json(path, {"old": True})
    with pytest.raises(TypeError):
        write_json(path, {"a": "written before it fails", "new": object()})
    assert read_json(path) == {"old": True}
    assert [entry.name for entry in tmp_path.iterdir()] == ["values.json"]


def test_copy_with_other_times_is_reused_and_its_manifest_mended(
    store: Store, step: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Store(tmp_path / "copy")
    shutil.copytree(store.root, copy.root, copy_function=shutil.copyfile)
    assert examples(copy, step).stat().st_mtime_ns != examples(store, step).stat().st_mtime_ns
    assert copy.status(step).complete
    mended = copy.manifest(step)
    assert mended is not None
    assert mended["outputs"]["examples.jsonl"]["mtime_ns"] == examples(copy, step).stat().st_mtime_ns
    monkeypatch.setattr("safetax.store.manifest.sha256_of", lambda path: pytest.fail("hashed again"))
    assert copy.status(step).complete


def test_copy_is_not_mended_while_a_worker_is_at_the_step(store: Store, step: Step) -> None:
    before = store.manifest(step)
    os.utime(examples(store, step))
    with locked(store.directory(step)):
        assert store.status(step).complete
        assert store.manifest(step) == before
    assert store.status(step).complete
    assert store.manifest(step) != before


def test_copy_that_cannot_be_written_is_reused_all_the_same(
    store: Store, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(examples(store, step))

    def refused(path: Path, values: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("safetax.store.manifest.write_json", refused)
    assert store.status(step).complete


def test_a_step_is_frozen_while_another_process_clears_its_folder(tmp_path: Path) -> None:
    store, step = Store(tmp_path), chats(4)
    directory = store.freeze(step)
    over = threading.Event()

    def clear_again_and_again() -> None:
        while not over.is_set():
            clear(directory)

    thread = threading.Thread(target=clear_again_and_again)
    thread.start()
    try:
        for _ in range(300):
            store.freeze(step)
    finally:
        over.set()
        thread.join()
    assert read_json(directory / "step.json") == json.loads(json.dumps(step.frozen()))
    assert sorted(path.name for path in directory.parent.iterdir()) == [directory.name]
