"""Which of the nodes this is, by what starts the command on them."""

from __future__ import annotations

import pytest

from safetax.errors import UserError
from safetax.store import nodes
from safetax.store.nodes import node_rank, wait_for_first_node


@pytest.mark.parametrize(
    ("environment", "rank"),
    [({}, 0), ({"NODE_RANK": "2"}, 2), ({"SLURM_NODEID": "0", "NODE_RANK": "2"}, 0), ({"SLURM_NODEID": "3"}, 3)],
)
def test_slurm_knows_it_before_anybody_else(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], rank: int
) -> None:
    for name in ("SLURM_NODEID", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert node_rank() == rank


def test_a_node_waits_until_the_first_has_begun_or_the_step_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([None, "begun"])
    assert wait_for_first_node("train/a", lambda: next(looks), lambda: False) == "begun"
    assert wait_for_first_node("train/a", lambda: None, lambda: True) is None
    monkeypatch.setattr(nodes, "NODE_TIMEOUT", 0.0)
    with pytest.raises(UserError, match="no first node began train/a in 0 seconds"):
        wait_for_first_node("train/a", lambda: None, lambda: False)
