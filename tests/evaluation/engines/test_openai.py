"""A server as the engine: what it is told, and what is said where it is not there."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Literal

import pytest

from launchers import judge_server
from safetax.config.secrets import holds
from safetax.errors import StepError, UserError
from safetax.formatting import visible
from tests.support.disguises import DISGUISES
from tests.support.llm_server import Answer, plain, serving
from tests.support.tiny_engines import RUNTIME, asked, markers, served

KEY = "sk-Canary-9f27Qz81LmXw"


def test_only_vllms_servers_are_told_to_leave_the_models_own_settings_alone(tiny: tuple[Path, Any, Any]) -> None:
    neutral = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
    for make in ("vllm", "other"):
        with serving() as server:
            runtime = {**RUNTIME, "requests": 1, "endpoints": {"tiny": server.endpoint()}}
            list(served(tiny, runtime, server=make).respond(asked(tiny[2], 1), markers(tiny[2])))
        assert (neutral.items() <= server.seen[0].items()) == (make == "vllm")
        assert bool(neutral.keys() & server.seen[0].keys()) == (make == "vllm")


def test_a_server_of_ours_takes_no_settings_from_the_model_unless_told_to() -> None:
    arguments = judge_server.command("some/model", 8000, None, ["--generation-config", "auto"])
    at = [index for index, argument in enumerate(arguments) if argument == "--generation-config"]
    assert [arguments[index + 1] for index in at] == ["vllm", "auto"]  # the last one counts


def test_a_server_that_is_not_there_is_named(tiny: tuple[Path, Any, Any]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    runtime = {**RUNTIME, "requests": 4, "endpoints": {"tiny": {"base_url": address, "retries": 0}}}
    with pytest.raises(StepError, match=r"runtime\.endpoints\.tiny\.base_url=.*start the server"):
        list(served(tiny, runtime).respond(asked(tiny[2], 3), markers(tiny[2])))
    with pytest.raises(UserError, match=r"endpoint=tinny: runtime\.endpoints has no such entry"):
        served(tiny, runtime, endpoint="tinny")


def hostile(said: str, **choice: Any) -> Any:
    """Return the behaviour of a server that says a text, whatever it is asked."""

    def behave(body: dict[str, Any], count: int) -> Answer:
        status, headers, answer = plain(body)
        answer["choices"][0] |= {"text": said, **choice}
        return status, headers, answer

    return behave


def failure(tiny: tuple[Path, Any, Any], behave: Any, server: Literal["vllm", "other"] = "other") -> str:
    with serving() as running:
        running.behave = behave
        runtime = {**RUNTIME, "requests": 2, "endpoints": {"tiny": running.endpoint(retries=0)}}
        with pytest.raises(UserError, match="3 of 3 prompts got no response") as told:
            list(served(tiny, runtime, server=server).respond(asked(tiny[2], 3), markers(tiny[2])))
    return str(told.value)


@pytest.mark.parametrize("name", DISGUISES)
def test_a_response_that_holds_the_key_is_none(
    tiny: tuple[Path, Any, Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    told = failure(tiny, hostile(f"It is {DISGUISES[name](KEY)} and that is all"))
    assert "sent back the key in the environment variable OPENAI_API_KEY" in told and not holds(told, KEY)


def test_a_key_in_tokens_or_in_two_parts_is_found_too(
    tiny: tuple[Path, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    tokens = tiny[2].encode(KEY, add_special_tokens=False)
    told = failure(tiny, hostile("nothing", token_ids=tokens, finish_reason="length"), "vllm")
    assert "sent back the key" in told
    halves = iter([KEY[:13], KEY[13:]] * 9)

    def by_halves(body: dict[str, Any], count: int) -> Answer:
        return hostile(next(halves), finish_reason="length")(body, count)

    with serving() as running:
        running.behave = by_halves
        runtime = {**RUNTIME, "requests": 1, "endpoints": {"tiny": running.endpoint(retries=0)}}
        with pytest.raises(UserError, match="sent back the key"):
            list(served(tiny, runtime, server="other").respond(asked(tiny[2], 1), markers(tiny[2])))


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"finish_reason": "content_filter"}, "the reply was cut (finish_reason content_filter)"),
        ({"finish_reason": None}, "the reply was cut (finish_reason unknown)"),
        ({"token_ids": [10**9]}, "tokens that the model's tokenizer does not know"),
        ({"text": None}, "the answer has no text"),
    ],
)
def test_what_is_no_whole_reply_is_no_response(
    tiny: tuple[Path, Any, Any], choice: dict[str, Any], reason: str
) -> None:
    assert reason in failure(tiny, hostile("so", **choice), "vllm")


def test_control_characters_of_a_response_are_made_visible(tiny: tuple[Path, Any, Any]) -> None:
    with serving() as running:
        running.behave = hostile("one\x1b[2J\x07 two\u202e\u2066 \ud83d\n")
        runtime = {**RUNTIME, "requests": 1, "endpoints": {"tiny": running.endpoint(retries=0)}}
        made = dict(served(tiny, runtime, server="other").respond(asked(tiny[2], 3), markers(tiny[2])))
    for response in made.values():
        for text in (response.thinking, response.answer):
            assert text is None or ("\\x1b[2J" in text and "<U+202E>" in text and visible(text) == text)
