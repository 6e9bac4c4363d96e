"""A limit of computing time for work that may never end, such as a pattern on what a model wrote."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class TooLongError(BaseException):
    """The time is up. No Exception, so that no handler inside a library takes it for one of its own."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TooLongError when the work inside has computed for so long, whatever else the machine does.

    Signals reach a process's main thread alone; in another one there is no limit.

    Args:
        seconds: of computing, by this process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPROF, _time_is_up)
    try:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    finally:
        signal.signal(signal.SIGPROF, before)


def _time_is_up(number: int, frame: Any) -> None:
    raise TooLongError
