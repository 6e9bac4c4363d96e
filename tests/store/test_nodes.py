"""Which of the nodes this is, by what starts the command on them."""

from __future__ import annotations

import pytest

from safetax.store.nodes import node_rank


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
