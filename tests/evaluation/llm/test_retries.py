"""Which failures are worth another try, after how long, and when it ends."""

from __future__ import annotations

import email.utils
import errno
import ssl
import threading
import time
from http import HTTPStatus

import pytest

from safetax.evaluation.llm import retries
from safetax.evaluation.llm.replies import Reply
from safetax.evaluation.llm.retries import RequestError, cause_of, refused, with_retries


@pytest.mark.parametrize(
    ("status", "code", "wait", "lasting", "reason"),
    [
        (500, None, "", False, ""),
        (429, None, "7", False, ""),
        (429, "insufficient_quota", "", True, "refused"),
        (429, None, "86400", True, ""),
        (401, None, "", True, "key"),
        (403, "invalid_api_key", "", True, "key"),
        (404, None, "", True, "refused"),
        (400, None, "", True, ""),
    ],
)
def test_what_a_status_means(status: int, code: str | None, wait: str, lasting: bool, reason: str) -> None:
    found = refused(status, code, {"retry-after": wait})
    assert (found.lasting, found.reason) == (lasting, reason)
    assert str(found) == ", ".join(filter(None, (f"HTTP {status}", HTTPStatus(status).phrase, code)))
    assert found.retry_after == float(wait or 0)


def test_a_date_is_waited_for_and_nonsense_is_not() -> None:
    in_a_minute = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert 50 < refused(503, None, {"retry-after": in_a_minute}).retry_after <= 60
    for nonsense in ("soon", "nan", "-1", "Mon, 99 Foo 99999 99:99:99", "9" * 5000, "\x00"):
        assert refused(503, None, {"retry-after": nonsense}).retry_after in (0, float("inf")), nonsense


def test_no_word_of_the_server_is_told() -> None:
    for code in ("sk-hidden", "x" * 9000, 400, ["a"], None):
        assert str(refused(599, code, {})) == "HTTP 599"


def test_the_cause_is_told_in_words_of_the_system() -> None:
    below = ConnectionRefusedError(errno.ECONNREFUSED, "sk-hidden")
    above = RuntimeError("sk-hidden")
    above.__cause__ = below
    assert cause_of(above) == "RuntimeError: Connection refused"
    assert cause_of(ValueError("sk-hidden")) == "ValueError"
    above.__cause__ = ssl.SSLError(1, "certificate of sk-hidden")
    assert cause_of(above) == "RuntimeError: no secure connection"


def test_it_is_sent_again_until_it_succeeds_or_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.001)
    tries: list[int] = []

    def send(failures: int, lasting: bool = False) -> Reply:
        tries.append(failures)
        if len(tries) <= failures:
            raise RequestError("busy", lasting=lasting)
        return Reply("said")

    assert with_retries(lambda: send(2), 3, threading.Event()).text == "said" and len(tries) == 3
    for failures, lasting, expected in ((9, False, 4), (9, True, 1)):
        tries.clear()
        with pytest.raises(RequestError, match="busy"):
            with_retries(lambda f=failures, w=lasting: send(f, w), 3, threading.Event())
        assert len(tries) == expected


def test_nothing_is_sent_once_the_others_were_given_up() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(RequestError, match="not asked"):
        with_retries(lambda: pytest.fail("sent"), 3, stop)
