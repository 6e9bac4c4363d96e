from __future__ import annotations

import pytest

from safetax.statistics import holm


def test_holm_corrects_each_for_those_that_are_left() -> None:
    # Holm 1979: 4 * 0.005, then 3 * 0.01, and none below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04] and holm([]) == []
