"""Work in threads: every item once, as they finish, and nothing begun behind an error."""

from __future__ import annotations

import threading
import time

import pytest

from safetax.evaluation.concurrency import as_they_finish


def test_every_item_is_worked_on_once_and_no_more_than_allowed_at_a_time() -> None:
    at_once, guard, barrier = [0, 0], threading.Lock(), threading.Barrier(3)

    def work(item: int) -> int:
        with guard:
            at_once[0] += 1
            at_once[1] = max(at_once)
        barrier.wait(20)  # passes only where three are at work
        with guard:
            at_once[0] -= 1
        return item * item

    assert sorted(as_they_finish(work, range(9), 3, "squares")) == [(n, n * n) for n in range(9)]
    assert at_once == [0, 3]
    assert list(as_they_finish(work, [], 3, "none")) == []


def test_what_finishes_first_comes_first() -> None:
    done = threading.Event()

    def work(item: str) -> str:
        if item == "slow":
            assert done.wait(20)
        return item

    found = as_they_finish(work, ["slow", "quick"], 2, "work")
    assert next(found) == ("quick", "quick")
    done.set()
    assert next(found) == ("slow", "slow")


def test_an_error_is_raised_and_what_has_not_begun_is_dropped() -> None:
    begun = []

    def work(item: int) -> None:
        begun.append(item)
        time.sleep(0.01)  # a worker that is never slow may be through before it is told
        raise RuntimeError(f"item {item}")

    with pytest.raises(RuntimeError, match="item"):
        list(as_they_finish(work, range(1000), 1, "work"))
    assert len(begun) < 1000
