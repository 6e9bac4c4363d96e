"""What the tests of engines share: a tiny model with its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_engines import build_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    directory = tmp_path_factory.mktemp("tiny") / "model"
    return (directory, *build_model(directory))
