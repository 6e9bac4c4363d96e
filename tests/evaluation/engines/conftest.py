"""What the tests of engines share: a tiny model with its tokenizer, and a stand-in for vLLM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.places import ROOT
from tests.support.tiny_engines import build_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    directory = tmp_path_factory.mktemp("tiny") / "model"
    return (directory, *build_model(directory))


@pytest.fixture
def vllm_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let replicas find the stand-in before a vLLM that is installed."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'tests' / 'support' / 'vllm_stand_in'}:{ROOT}")
