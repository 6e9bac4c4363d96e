"""Hashes of large files are remembered, and a file that changed is read again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from safetax.store import hashes
from safetax.store.manifest import sha256_of


def test_large_files_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "UNCACHED", 10)
    read: list[Path] = []

    def reading(path: Path) -> str:
        read.append(path)
        return sha256_of(path)

    monkeypatch.setattr(hashes, "sha256_of", reading)
    file = tmp_path / "weights"
    file.write_bytes(b"x" * 100)
    first = hashes.cached_sha256(file)
    assert hashes.cached_sha256(file) == first == sha256_of(file)
    assert len(read) == 1
    file.write_bytes(b"y" * 100)
    os.utime(file, ns=(1, 1))
    assert hashes.cached_sha256(file) == sha256_of(file) != first
    assert len(read) == 2


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "UNCACHED", 10)
    file = tmp_path / "weights"
    file.write_bytes(b"x" * 100)
    assert hashes.cached_sha256(file) == sha256_of(file)
