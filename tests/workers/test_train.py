"""The train worker on several ranks and nodes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tiny_models import chats, save_tiny, training_step
from tests.support.tiny_trainings import (
    losses,
    summary_of,
    train_by_hand,
    train_in_process,
    weights,
)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_two_ranks_and_two_nodes_train_as_one_does(tmp_path: Path) -> None:
    """Rows that fill no last step included; two agents on this machine stand for two nodes."""
    import torch

    start = save_tiny(tmp_path / "start", "qwen3", tie_word_embeddings=True)
    rows = chats(13)
    steps = {
        name: training_step(tmp_path / name, start, rows, runtime, global_batch=4, epochs=3)
        for name, runtime in {
            "alone": {},
            "ranks": {"devices": 2, "micro_batch": 1, "loss_chunk": 8},
            "nodes": {"devices": 2, "nodes": 2, "rendezvous": f"127.0.0.1:{free_port()}"},
        }.items()
    }
    assert train_in_process(steps["alone"]) == 0
    done = train_by_hand(steps["ranks"])
    assert done.returncode == 0, done.stdout + done.stderr
    command = [sys.executable, "-m", "safetax.workers.train", str(steps["nodes"])]
    second = subprocess.Popen(
        command, env={**os.environ, "NODE_RANK": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    done = train_by_hand(steps["nodes"])
    said = second.communicate(timeout=100)[0]
    assert done.returncode == 0, done.stdout + done.stderr
    assert second.returncode == 0 and "joined" in said, said
    one = summary_of(steps["alone"])
    for name in ("ranks", "nodes"):
        step, summary = steps[name], summary_of(steps[name])
        assert losses(step) == pytest.approx(losses(steps["alone"]), rel=1e-4)
        for tensor, value in weights(step).items():
            torch.testing.assert_close(value, weights(steps["alone"])[tensor], rtol=1e-3, atol=1e-3)
        for key in ("tokens", "optimizer_steps", "examples", "parameters"):
            assert summary[key] == one[key], key
        assert summary["devices"] == 2
        assert summary["startup_seconds"] > 1
    # Nothing more to do for either.
    assert subprocess.run(command, env={**os.environ, "NODE_RANK": "1"}, timeout=60).returncode == 0
