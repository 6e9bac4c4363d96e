"""What the graders' tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from safetax.evaluation.graders.algebra import Algebra


@pytest.fixture(scope="session")
def algebra() -> Iterator[Algebra]:
    process = Algebra(seconds=4)
    yield process
    process.close()
