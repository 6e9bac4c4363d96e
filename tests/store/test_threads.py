"""CPU threads: a fixed number, or the process's share of the cores."""

from __future__ import annotations

import os

import pytest
import torch

from safetax.store import threads


def test_what_is_fixed_comes_before_the_share_and_the_share_before_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(threads, "usable_cores", lambda: 5)
    try:
        threads.use_threads(None)
        assert torch.get_num_threads() == 5
        monkeypatch.setattr(threads, "share", 3)
        threads.use_threads(None)
        assert torch.get_num_threads() == 3
        threads.use_threads(2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux binds processes to cores")
def test_cores_that_a_process_may_not_use_do_not_count() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert threads.usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert threads.usable_cores() == len(allowed)
