"""The client of model servers against a real HTTP server: retries, limits, the cache, totals and what it tells."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from safetax.config.compose import Composer
from safetax.config.runtime import Endpoint
from safetax.config.secrets import holds
from safetax.errors import ConfigError, StepError, UserError
from safetax.evaluation.llm import retries
from safetax.evaluation.llm.client import Client, connect
from safetax.evaluation.llm.replies import Reply, places, write_reply
from tests.support.disguises import DISGUISES
from tests.support.llm_server import Answer, Server, plain, serving, subject


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        yield state


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def asked(*texts: str, **values: Any) -> list[dict[str, Any]]:
    return [
        {"messages": [{"role": "user", "content": text}], "temperature": 0.0, "max_tokens": 5, **values}
        for text in texts
    ]


def replies(client: Client, requests: list[dict[str, Any]]) -> list[Reply]:
    found = dict(client.chat(requests))
    assert sorted(found) == list(range(len(requests)))
    return [found[index] for index in range(len(requests))]


def test_every_request_is_answered_by_its_index(server: Server) -> None:
    client = Client(server.endpoint(price_in=2.0, price_out=10.0), "m", None, 4)
    answered = replies(client, asked(*(f"q{n}" for n in range(20)), seed=3, top_p=0.9))
    assert [reply.text for reply in answered] == [f"said: q{n}" for n in range(20)]
    assert answered[0] == Reply("said: q0", None, 7, 3, cached=False, finish_reason="stop")
    assert (
        server.seen[0].items() >= {"model": "m", "temperature": 0.0, "max_tokens": 5, "seed": 3, "top_p": 0.9}.items()
    )
    totals = {"requests": 20, "cached": 0, "failed": 0, "prompt_tokens": 140, "completion_tokens": 60}
    assert client.usage() == {**totals, "cost": pytest.approx((140 * 2 + 60 * 10) / 1e6)}
    assert Client(server.endpoint(), "m", None, 4).usage()["cost"] is None


def test_no_more_requests_are_under_way_than_allowed(server: Server) -> None:
    server.pause = 0.4
    replies(Client(server.endpoint(), "m", None, 3), asked(*map(str, range(15))))
    assert server.most_in_flight == 3


def test_replies_come_as_they_finish(server: Server) -> None:
    def behave(body: dict[str, Any], count: int) -> None:
        time.sleep(1.0 if subject(body) == "slow" else 0.0)

    server.behave = behave
    order = [index for index, _ in Client(server.endpoint(), "m", None, 4).chat(asked("slow", "a", "b"))]
    assert order[-1] == 0


def test_completions_take_texts_and_token_ids(server: Server) -> None:
    client = Client(server.endpoint(), "m", None, 2)
    requests = [{"prompt": "one", "max_tokens": 4, "stop": ["x"]}, {"prompt": [5, 6], "max_tokens": 4, "seed": None}]
    found = dict(client.complete(requests))
    assert [found[0].text, found[1].text] == ["said: one", "said: [5, 6]"]
    assert set(server.paths) == {"/v1/completions"}
    assert any(body.get("stop") == ["x"] for body in server.seen)
    assert all("seed" not in body for body in server.seen)


def test_what_passes_is_tried_again(server: Server) -> None:
    failures: dict[str, Answer] = {
        "busy": (429, {"Retry-After": "0"}, {"error": {"message": "slow down"}}),
        "broken": (500, {}, {"error": {"message": "oh"}}),
        "proxy": (503, {"Content-Type": "text/html"}, "<html>busy</html>"),
        "garbage": (200, {}, "{not json"),
        "page": (200, {"Content-Type": "text/html"}, "<html>hello</html>"),
        "empty": (200, {}, {"choices": []}),
    }
    server.behave = lambda body, count: failures.get(subject(body)) if count < 3 else None
    client = Client(server.endpoint(), "m", None, 8)
    answered = replies(client, asked(*failures, "fine"))
    assert [reply.text for reply in answered] == [f"said: {name}" for name in [*failures, "fine"]]
    assert len(server.seen) == 3 * len(failures) + 1
    assert client.usage()["requests"] == len(failures) + 1


def test_retry_after_is_honoured(server: Server) -> None:
    server.behave = lambda body, count: (429, {"Retry-After": "1"}, {"error": {}}) if count == 1 else None
    assert replies(Client(server.endpoint(), "m", None, 1), asked("a"))[0].text == "said: a"
    assert server.times[1] - server.times[0] >= 1.0


@pytest.mark.parametrize(
    "answer",
    [
        (400, {}, {"error": {"message": "no such field"}}),
        (422, {}, {"error": {"message": "no"}}),
        (429, {"Retry-After": "86400"}, {"error": {"message": "come tomorrow"}}),
    ],
)
def test_what_lasts_is_an_error_at_once(server: Server, answer: Answer) -> None:
    server.behave = lambda body, count: answer if subject(body) == "bad" else None
    client = Client(server.endpoint(), "m", None, 1)
    bad, fine = replies(client, asked("bad", "fine"))
    assert bad.text is None and bad.error is not None and f"HTTP {answer[0]}" in bad.error
    assert fine.error is None
    assert len(server.seen) == 2
    assert client.usage()["failed"] == 1


@pytest.mark.parametrize("status", [500, 429])
def test_an_error_is_told_when_the_tries_are_used_up(server: Server, status: int) -> None:
    server.behave = lambda body, count: (status, {}, {"error": {"message": "still broken"}})
    reply = replies(Client(server.endpoint(retries=2), "m", None, 1), asked("a"))[0]
    assert reply.error == f"HTTP {status}, {HTTPStatus(status).phrase}"  # and nothing of what the server said
    assert len(server.seen) == 3


def test_a_refused_key_or_an_unknown_model_ends_it_before_anything_was_answered(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "very-secret")
    server.behave = lambda body, count: (401, {}, {"error": {"message": "bad key very-secret"}})
    with pytest.raises(StepError, match=r"environment variable MY_KEY \(HTTP 401, Unauthorized\)") as told:
        replies(Client(server.endpoint(key="MY_KEY"), "m", None, 2), asked(*map(str, range(50))))
    assert "very-secret" not in str(told.value)
    assert len(server.seen) < 50
    assert server.keys[0] == "Bearer very-secret"
    server.behave = lambda body, count: (404, {}, {"error": {"message": "no model"}}) if subject(body) == "b" else None
    first, second = replies(Client(server.endpoint(), "m", None, 1), asked("a", "b"))
    assert first.error is None and second.error is not None


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_later_ends_it_too(server: Server, tmp_path: Path, status: int) -> None:
    """What was answered before is kept: the next client asks for the rest alone."""
    server.behave = lambda body, count: (status, {}, {"error": {}}) if subject(body) == "b" and count == 1 else None
    found: dict[int, Reply] = {}
    with pytest.raises(StepError, match="refused the key"):
        found.update(Client(server.endpoint(), "m", tmp_path, 1).chat(asked("a", "b", *map(str, range(50)))))
    assert len(server.seen) < 10
    again = replies(Client(server.endpoint(), "m", tmp_path, 1), asked("a", "b"))
    assert [reply.cached for reply in again] == [True, False] and again[1].text == "said: b"


def test_a_reply_that_was_cut_is_none(server: Server, tmp_path: Path) -> None:
    """For a judge; a text to go on from may end at its limit. It is asked for again, also where it was kept before."""
    cut: list[Any] = ["length", "content_filter", "max_tokens", None, "sk-hidden\x1b[31m", 7, "abort"]

    def behave(body: dict[str, Any], count: int) -> Answer | None:
        status, headers, answer = plain(body)
        answer["choices"][0]["finish_reason"] = cut[int(subject(body))] if count == 1 else "stop"
        return status, headers, answer

    server.behave = behave
    requests = asked(*map(str, range(len(cut))))
    found = replies(Client(server.endpoint(), "m", tmp_path, 1), requests)
    assert [reply.text for reply in found] == [None] * len(cut)
    assert [(reply.error or "").removeprefix("the reply was cut ") for reply in found] == [
        f"(finish_reason {told})" for told in ("length", "content_filter", "length", *["unknown"] * 3, "abort")
    ]
    assert not list(tmp_path.rglob("*.json"))
    for place in places(tmp_path, "chat", "m", requests[:1]):
        assert place is not None
        write_reply(place, Reply("said: 0", finish_reason="length"))  # as earlier versions did
    again = replies(Client(server.endpoint(), "m", tmp_path, 1), requests)
    assert not any(reply.cached or reply.error for reply in again)
    server.seen.clear()
    (_, reply), *_ = Client(server.endpoint(), "m", None, 1).complete([{"prompt": "0"}])
    assert (reply.text, reply.finish_reason) == ("said: 0", "length")


def test_an_answer_that_cannot_be_read_is_not_kept(server: Server, tmp_path: Path) -> None:
    def told(expected: str) -> list[Reply]:
        client = Client(server.endpoint(), "m", tmp_path, 1)
        return [reply for _, reply in sorted(client.chat(asked("a", "b"), lambda index, text: text == expected))]

    assert [reply.text for reply in told("said: a")] == ["said: a", "said: b"]
    assert len(list(tmp_path.rglob("*.json"))) == 1
    assert [reply.cached for reply in told("said: a")] == [True, False]
    assert [reply.cached for reply in told("said: b")] == [False, False]  # it is another one that can be read now


def test_what_a_server_says_besides_is_neither_kept_nor_told(server: Server, tmp_path: Path) -> None:
    """Control characters of an answer are made visible; counts that are none are 0."""
    text = "one\ttwo\x1b[31m\x07\x9b\u202egnp\u2066 \ud800\r\nend"
    message = {"role": "assistant", "content": text, "tool_calls": None, "extra": "sk-hidden"}
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": "stop",
        "stop_reason": {"sk-hidden": 1},
        "token_ids": "x",
    }
    usage = {"prompt_tokens": "sk-hidden", "completion_tokens": -5, "total_tokens": [1]}
    answer = {"id": "sk-hidden", "model": "sk-hidden", "choices": [choice], "usage": usage}
    server.behave = lambda body, count: (200, {"X-Key": "sk-hidden"}, answer)
    (reply,) = replies(Client(server.endpoint(), "m", tmp_path, 1), asked("a"))
    assert reply.text == "one\ttwo\\x1b[31m\\x07\\x9b<U+202E>gnp<U+2066> \ufffd\r\nend"
    assert (reply.prompt_tokens, reply.completion_tokens, reply.stop_reason, reply.tokens) == (0, 0, None, None)
    (path,) = tmp_path.rglob("*.json")
    assert "hidden" not in path.read_text()


def test_an_answer_that_holds_the_key_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-Canary-9f27Qz81LmXw"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    names = sorted(DISGUISES)

    def behave(body: dict[str, Any], count: int) -> Answer:
        status, headers, answer = plain(body)
        answer["choices"][0]["message"]["content"] = f"Here: {DISGUISES[subject(body)](key)}"
        return status, headers, answer

    server.behave = behave
    for reply in replies(Client(server.endpoint(), "m", tmp_path, 4), asked(*names)):
        assert reply.text is None and reply.error is not None and "sent back the key" in reply.error
        assert not holds(reply.error, key)
    assert not list(tmp_path.rglob("*.json"))


def test_no_library_logs_what_is_sent(server: Server, tmp_path: Path) -> None:
    """Whatever the environment asks for."""
    code = (
        "import logging, sys; logging.basicConfig(level=0); from safetax.evaluation.llm.client import Client\n"
        "client = Client({'base_url': sys.argv[1], 'retries': 0}, 'm', None, 1)\n"
        "print(list(client.chat([{'messages': [{'role': 'user', 'content': 'a'}], 'max_tokens': 5}])))\n"
    )
    environment = {**os.environ, "OPENAI_LOG": "debug", "OPENAI_API_KEY": "very-secret"}
    command = [sys.executable, "-c", code, server.address]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "said: a" in done.stdout and server.keys == ["Bearer very-secret"]
    assert "very-secret" not in done.stdout + done.stderr and "Request" not in done.stderr


def test_a_server_that_hangs_is_given_up(server: Server) -> None:
    def behave(body: dict[str, Any], count: int) -> None:
        if subject(body) == "hang":
            time.sleep(1.5)

    server.behave = behave
    client = Client(server.endpoint(timeout=0.3, retries=1), "m", None, 1)
    fine, hung = replies(client, asked("fine", "hang"))
    assert fine.error is None
    assert hung.error == "no answer within 0.8 s"  # half a second for five tokens


def test_a_long_answer_has_its_time(server: Server) -> None:
    server.pause = 0.7
    client = Client(server.endpoint(timeout=0.2, retries=0), "m", None, 1)
    (reply,) = replies(client, asked("write much", max_tokens=20))
    assert reply.error is None
    (_, reply), *_ = client.complete([{"prompt": "write more", "max_tokens": 20}])
    assert reply.error is None


def test_a_server_that_never_answers_in_time_was_reached_all_the_same(server: Server) -> None:
    server.pause = 1.0
    client = Client(server.endpoint(timeout=0.2, retries=0), "m", None, 1, "judge")
    with pytest.raises(
        StepError, match=r"runtime\.endpoints\.judge\.timeout=0\.2: .* no answer within 0\.7 s; "
    ) as told:
        replies(client, asked("a"))
    assert "start the server" not in str(told.value) and "runtime.requests" in str(told.value)


def test_a_server_that_is_not_there_names_its_key() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = Client({"base_url": f"http://127.0.0.1:{port}/v1", "retries": 1}, "m", None, 2, "judge")
    with pytest.raises(StepError, match=rf"runtime\.endpoints\.judge\.base_url=http://127\.0\.0\.1:{port}/v1.*start"):
        replies(client, asked("a", "b"))


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://host/v1", "http://", "http://host:port/v1", "nonsense"])
def test_an_unusable_address_is_named(address: str) -> None:
    with pytest.raises(UserError, match=r"runtime\.endpoints\.default\.base_url=.*expected an address"):
        Client({"base_url": address}, "m", None, 1)


@pytest.mark.parametrize(
    "address",
    [
        "http://me:hidden@host/v1",
        "http://hidden@host/v1",
        "me:hidden@host/v1",
        "https://host/v1?key=hidden",
        "hidden@x",
        "https://host/v1#hidden",
        "https://host/sk-hidden0123456789/v1",
        "https://host/v1/aGlkZGVuIGhpZGRlbiBoaWRkZW4x",
        "https://host/hidden%2Dkey%2Dof%2Dmine%2D42/v1",
    ],
)
def test_a_secret_in_the_address_is_refused_before_anything_is_written(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "hidden-key-of-mine-42")
    with pytest.raises(ConfigError, match=r"^runtime\.endpoints\.mine\.base_url .*environment variable") as told:
        Composer().job([f"+runtime.endpoints.mine.base_url='{address}'"])
    assert "hidden" not in str(told.value)
    with pytest.raises(UserError, match=r"^runtime\.endpoints\.judge\.base_url .*environment variable") as told:
        Client({"base_url": address}, "m", None, 1, "judge")
    assert "hidden" not in str(told.value)


@pytest.mark.parametrize("key", ["sk-hidden0123456789", "sk-hidden", "Bearer hidden", "hidden42HIDDENhidden42", ""])
def test_a_key_in_place_of_its_name_is_refused_without_being_told(key: str) -> None:
    with pytest.raises(ConfigError, match=r"^runtime\.endpoints\.mine\.key is no name of an environment") as told:
        Composer().job([f"+runtime.endpoints.mine.key='{key}'"])
    assert "hidden" not in str(told.value)


@pytest.mark.parametrize(
    "path",
    [
        "v1",
        "openai/deployments/gpt-4o-2024-08-06",
        "v1/0123456789abcdef0123456789abcdef/gateway",
        "models/meta-llama/Meta-Llama-3-8B-Instruct/v1",
    ],
)
def test_paths_that_hold_no_key_are_addresses(path: str) -> None:
    assert Endpoint(f"https://host/{path}").address.endswith(path)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(UserError, match=r"runtime\.endpoints\.default\.key=OPENAI_API_KEY: .* is not set"):
        connect({"endpoints": {}, "requests": 4}, "default", "m", None)
    with pytest.raises(UserError, match=r"endpoint=jugde: .*Did you mean runtime\.endpoints\.judge\?"):
        connect({"endpoints": {"judge": {"base_url": "http://host/v1"}}}, "jugde", "m", None)


def test_nothing_is_asked_twice(server: Server, tmp_path: Path) -> None:
    requests = asked("a", "b", "a")  # the two a are samples of their own
    first = replies(Client(server.endpoint(), "m", tmp_path, 2), requests)
    assert len(server.seen) == 3 and not any(reply.cached for reply in first)
    moved = Client({**server.endpoint(), "base_url": server.address + "/"}, "m", tmp_path, 2)
    again = replies(moved, requests)
    assert len(server.seen) == 3 and all(reply.cached for reply in again)
    assert [reply.text for reply in again] == [reply.text for reply in first]
    assert moved.usage() == {
        **dict.fromkeys(["requests", "failed", "prompt_tokens", "completion_tokens"], 0),
        "cached": 3,
        "cost": None,
    }
    replies(Client(server.endpoint(), "other", tmp_path, 2), asked("a"))
    replies(Client(server.endpoint(), "m", tmp_path, 2), asked("a", temperature=1.0))
    replies(Client(server.endpoint(), "m", tmp_path, 2), asked("a", repeat=2))
    assert len(server.seen) == 6
    replies(Client(server.endpoint(), "m", tmp_path, 2), asked("a", repeat=1))
    assert len(server.seen) == 6
    assert all("repeat" not in body for body in server.seen)


def test_errors_are_asked_again_and_damaged_files_too(server: Server, tmp_path: Path) -> None:
    server.behave = lambda body, count: (400, {}, {"error": {}}) if count == 1 else None
    client = Client(server.endpoint(), "m", tmp_path, 1)
    assert replies(client, asked("a"))[0].error is not None
    assert replies(client, asked("a"))[0].text == "said: a"
    for path in tmp_path.rglob("*.json"):
        path.write_text(path.read_text()[:10])
    assert not replies(client, asked("a"))[0].cached
    assert len(server.seen) == 3


def test_several_processes_share_the_answers(server: Server, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from safetax.evaluation.llm.client import Client\n"
        "client = Client({'base_url': sys.argv[1]}, 'm', Path(sys.argv[2]), 4)\n"
        "asked = [{'messages': [{'role': 'user', 'content': str(n)}], 'temperature': 0.0, 'max_tokens': 5}"
        " for n in range(30)]\n"
        "assert {reply.text for _, reply in client.chat(asked)} == {f'said: {n}' for n in range(30)}\n"
    )
    command = [sys.executable, "-c", code, server.address, str(tmp_path)]
    started = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in started] == [0, 0]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 30 and all(path.suffix == ".json" for path in files)
    asked_so_far = len(server.seen)
    subprocess.run(command, check=True)
    assert len(server.seen) == asked_so_far


def test_an_answer_without_text_is_an_error(server: Server, tmp_path: Path) -> None:
    message = {"role": "assistant", "content": None}
    choice = {"index": 0, "finish_reason": "content_filter", "message": message}
    server.behave = lambda body, count: (200, {}, {"choices": [choice], "usage": {"prompt_tokens": 4}})
    reply = replies(Client(server.endpoint(), "m", tmp_path, 1), asked("a"))[0]
    assert reply.error == "the answer has no text (finish_reason content_filter)"
    assert (reply.prompt_tokens, reply.completion_tokens) == (4, 0)
    assert not list(tmp_path.rglob("*.json"))


def test_giving_up_early_asks_nothing_more(server: Server) -> None:
    server.pause = 0.05
    stream = Client(server.endpoint(), "m", None, 2).chat(asked(*map(str, range(40))))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    time.sleep(0.3)
    assert len(server.seen) <= 5


def test_the_key_is_nowhere_on_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "very-secret")
    replies(Client(server.endpoint(), "m", tmp_path, 1), asked("a"))
    assert server.keys == ["Bearer very-secret"]
    written = [path.read_text() for path in tmp_path.rglob("*.json")]
    assert written and not any("very-secret" in text for text in written)
