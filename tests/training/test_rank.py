"""Two ranks as processes; that ranks train together is tested with the train worker."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from safetax.store.child_process import clean_environment
from safetax.training.torchrun import ERROR, LAUNCHED
from tests.support.tiny_models import chats, save_tiny, training_step


@pytest.mark.slow
def test_ranks_end_and_the_first_says_what_the_user_has_to_mend(tmp_path: Path) -> None:
    start = save_tiny(tmp_path / "start", "llama")
    step = training_step(tmp_path / "o", start, chats(8), {"devices": 2}, max_tokens=3)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "safetax.training.rank", str(step)],
            env=clean_environment() | world | {LAUNCHED: repr(time.time()), "RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    said = [rank.communicate(timeout=200)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [1, 1], said
    assert not any("Traceback" in text for text in said)
    assert "more than max_tokens=3" in (step / "scratch" / ERROR).read_text()
    assert [path.name for path in (step / "scratch").iterdir()] == [ERROR]
