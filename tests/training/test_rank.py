"""One rank as a process; that ranks train together is tested with the train worker."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from safetax.store.child_process import clean_environment
from safetax.training.torchrun import ERROR, LAUNCHED
from tests.support.tiny_models import chats, save_tiny, training_step


def test_the_first_rank_alone_says_what_the_user_has_to_mend(tmp_path: Path) -> None:
    step = training_step(tmp_path / "o", save_tiny(tmp_path / "start", "llama"), chats(8), max_tokens=3)
    for rank in ("1", "0"):
        assert not (step / "scratch" / ERROR).exists()
        done = subprocess.run(
            [sys.executable, "-m", "safetax.training.rank", str(step)],
            env=clean_environment() | {LAUNCHED: repr(time.time()), "RANK": rank, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "more than max_tokens=3" in (step / "scratch" / ERROR).read_text()
