"""How far embeddings of tokens move that the data do not hold."""

from __future__ import annotations

import pytest
import torch

from safetax.training.drift import embedding_drift


def test_rows_are_told_apart_by_whether_the_data_hold_them() -> None:
    before = torch.eye(6)
    after = before.clone()
    after[0] *= 1.5  # seen
    after[2:] += torch.tensor([0.3, 0, 0, 0, 0, 0])  # absent, all the same way
    found = embedding_drift(before, after, {0, 1})
    assert found["seen"] == pytest.approx(0.25) and found["absent"] == pytest.approx(0.3)
    assert found["absent_tokens"] == 4 and found["absent_together"] == pytest.approx(1.0)


def test_movements_that_cancel_are_no_common_one() -> None:
    before = torch.ones(4, 2)
    after = before + torch.tensor([[1.0, 0], [-1.0, 0], [0, 1.0], [0, -1.0]])
    assert embedding_drift(before, after, set())["absent_together"] == pytest.approx(0.0)
    still = embedding_drift(before, before, set())
    assert still["absent"] == 0.0 and still["absent_together"] is None and still["seen"] is None
    assert embedding_drift(before, after, {0, 1, 2, 3})["absent"] is None
