"""Requests that failed: which are worth another try, and after how long."""

from __future__ import annotations

import contextlib
import email.utils
import threading
import time
from collections.abc import Callable, Mapping

from safetax.evaluation.llm.replies import Reply

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds: upper end of the random wait before the first retry, doubled with each, and its bound."""
LONGEST_RETRY_AFTER = 600.0
"""Seconds: a server that wants to be left alone for longer is not waited for."""
RETRIED = (408, 409, 425, 429)
"""Statuses worth another try, besides those of the server's own faults (500 and above)."""


class RequestError(Exception):
    """A request without a usable answer.

    Args:
        error: what went wrong.
        reason: ``refused``, ``slow`` or ``unreachable`` where it may hold for all requests; else empty.
        lasting: whether another try is of no use.
        retry_after: seconds that the server asks to be left alone for.
    """

    def __init__(self, error: str, reason: str = "", lasting: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(error)
        self.reason = reason
        self.lasting = lasting
        self.retry_after = retry_after


def refused(error: str, status: int, code: str | None, headers: Mapping[str, str]) -> RequestError:
    """Return the error of a request that a server answered with a status of failure."""
    spent, wait = code == "insufficient_quota", _retry_after(headers)
    lasting = spent or wait > LONGEST_RETRY_AFTER or (status not in RETRIED and status < 500)
    return RequestError(error, "refused" if spent or status in (401, 404) else "", lasting, wait)


def with_retries(send: Callable[[], Reply], retries: int, stop: threading.Event) -> Reply:
    """Send a request, again where that may help.

    Args:
        send: sends it once.
        retries: how often it is sent again.
        stop: ends the waiting; nothing is sent any more then.

    Raises:
        RequestError: no try had a usable answer.
    """
    import tenacity

    # Full jitter: many that failed together do not come back together.
    jitter = tenacity.wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)

    def once() -> Reply:
        if stop.is_set():
            raise RequestError("not asked: the others were given up", lasting=True)
        return send()

    def wait(state: tenacity.RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome else None
        return max(jitter(state), failure.retry_after if isinstance(failure, RequestError) else 0.0)

    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(retries + 1),
        wait=wait,
        retry=tenacity.retry_if_exception(lambda failure: isinstance(failure, RequestError) and not failure.lasting),
        sleep=tenacity.sleep_using_event(stop),
        reraise=True,
    )(once)


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds that a server asks to be left alone for; 0 where it does not say."""
    value = headers.get("retry-after", "")
    with contextlib.suppress(ValueError):
        return max(0.0, float(value))
    with contextlib.suppress(TypeError, ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return 0.0
