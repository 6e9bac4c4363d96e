"""Requests that failed: which are worth another try, and after how long."""

from __future__ import annotations

import contextlib
import email.utils
import errno
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from safetax.evaluation.llm.replies import Reply

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds: upper end of the random wait before the first retry, doubled with each, and its bound."""
LONGEST_RETRY_AFTER = 600.0
"""Seconds: a server that wants to be left alone for longer is not waited for."""
RETRIED = (408, 409, 425, 429)
"""Statuses worth another try, besides those of the server's own faults (500 and above)."""


STATUSES = {int(status) for status in HTTPStatus}
CODES = {
    "context_length_exceeded",
    "content_filter",
    "content_policy_violation",
    "insufficient_quota",
    "invalid_api_key",
    "invalid_request_error",
    "model_not_found",
    "rate_limit_exceeded",
    "server_error",
    "unsupported_parameter",
    "unsupported_value",
}
"""Names of faults in OpenAI's interface; what else a server says of a fault is not kept."""


class RequestError(Exception):
    """A request without a usable answer.

    Args:
        error: what went wrong.
        reason: ``key``, ``refused``, ``slow`` or ``unreachable`` where it may hold for all requests; else empty.
        lasting: whether another try is of no use.
        retry_after: seconds that the server asks to be left alone for.
    """

    def __init__(self, error: str, reason: str = "", lasting: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(error)
        self.reason = reason
        self.lasting = lasting
        self.retry_after = retry_after


def refused(status: int, code: Any, headers: Mapping[str, str]) -> RequestError:
    """Return the error of a request that a server answered with a status of failure, in words that are none of it.

    Args:
        status: of HTTP.
        code: the server's own name for what went wrong; told only if it is one of those that are known.
        headers: of the answer.
    """
    known = code if isinstance(code, str) and code in CODES else ""
    told = ", ".join(filter(None, (f"HTTP {status}", HTTPStatus(status).phrase if status in STATUSES else "", known)))
    wait = _retry_after(headers)
    spent = known == "insufficient_quota"
    lasting = spent or wait > LONGEST_RETRY_AFTER or (status not in RETRIED and status < 500)
    reason = "key" if status in (401, 403) else "refused" if spent or status == 404 else ""
    return RequestError(told, reason, lasting, wait)


def cause_of(failure: BaseException) -> str:
    """Return what kind of fault lies below an error, and what the system says of it: no word of the other side."""
    name = type(failure).__name__
    below: BaseException | None = failure
    while below is not None:
        if isinstance(below, ssl.SSLError):
            return f"{name}: no secure connection"
        if isinstance(below, socket.gaierror):
            return f"{name}: the host's name is not known"
        if isinstance(below, OSError) and below.errno in errno.errorcode:
            return f"{name}: {os.strerror(below.errno or 0)}"
        name, below = type(below).__name__, below.__cause__ or below.__context__
    return name


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
    with contextlib.suppress(TypeError, ValueError, OverflowError, IndexError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return 0.0
