"""The command that starts the ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safetax.errors import UserError
from tests.support.tiny_models import chats, training_step
from tests.support.tiny_steps import silent


def test_nodes_that_cannot_meet_are_refused(tmp_path: Path) -> None:
    from safetax.store.job import StepJob
    from safetax.training.torchrun import torchrun_command

    start = tmp_path / "start"

    def command(**runtime: Any) -> list[str]:
        return torchrun_command(StepJob(training_step(tmp_path / "o", start, chats(4), runtime), silent()))

    for wrong in (None, "localhost", "localhost:port", ":29500"):
        with pytest.raises(UserError, match=r"runtime\.rendezvous=.*set it to host:port"):
            command(devices=2, nodes=2, rendezvous=wrong)
    told = command(devices=16, nodes=2, rendezvous="127.0.0.1:29500")
    assert "--nnodes=2" in told and "--nproc-per-node=8" in told and "--rdzv-endpoint=127.0.0.1:29500" in told
    assert "--local-addr=127.0.0.1" in told and "--standalone" not in told
    assert "--standalone" in command(devices=4)
