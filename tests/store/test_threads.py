"""CPU threads: a fixed number, or the worker's share of the cores."""

from __future__ import annotations

import os

import pytest
import torch

from safetax.store import threads


@pytest.mark.parametrize(
    ("runtime", "beside", "expected"),
    [
        ({"threads": 2, "workers": 4}, None, 2),
        ({"threads": None, "workers": 1}, None, 9),
        ({"threads": None, "workers": 2}, None, 4),
        ({"threads": None, "workers": None}, None, 1),
        ({"threads": None, "workers": 40}, None, 1),
        ({"threads": None, "workers": 1}, 3, 3),
        ({"threads": 5, "workers": 1}, 3, 5),
    ],
)
def test_threads_are_as_set_or_the_share_of_the_cores(
    runtime: dict[str, int | None], beside: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: 9)
    assert threads.threads_of(runtime, beside) == expected


def test_torch_is_told() -> None:
    before = torch.get_num_threads()
    try:
        threads.use_threads({"threads": before + 1})
        assert torch.get_num_threads() == before + 1
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
