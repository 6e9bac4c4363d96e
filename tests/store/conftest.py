"""What the tests of the store share: an empty store, and a finished step in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetax.store.status import Store
from safetax.store.step import Step
from tests.support.tiny_steps import make, prompts


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "outputs")


@pytest.fixture
def step(store: Store) -> Step:
    made = prompts()
    make(store, made)
    return made
