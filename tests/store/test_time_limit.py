"""A limit of computing time."""

from __future__ import annotations

import re
import signal
import threading

import pytest

from safetax.store.time_limit import TooLongError, time_limit


def test_work_that_does_not_end_is_ended_and_the_next_has_its_own_time() -> None:
    before = signal.getsignal(signal.SIGPROF)
    for _ in range(2):
        with pytest.raises(TooLongError), time_limit(0.2):
            re.fullmatch("(a+)+", "a" * 60 + "b")
    with time_limit(60):
        assert re.fullmatch("(a+)+", "aaa")
    assert signal.getsignal(signal.SIGPROF) == before and signal.getitimer(signal.ITIMER_PROF) == (0, 0)


def test_other_threads_have_none() -> None:
    found: list[int] = []

    def work() -> None:
        with time_limit(60):
            found.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [1]
