"""A server as the engine: what it is told, and what is said where it is not there."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from launchers import judge_server
from safetax.errors import UserError
from tests.support.llm_server import serving
from tests.support.tiny_engines import RUNTIME, asked, markers, served


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
    with pytest.raises(UserError, match=r"runtime\.endpoints\.tiny\.base_url=.*start the server"):
        list(served(tiny, runtime).respond(asked(tiny[2], 3), markers(tiny[2])))
    with pytest.raises(UserError, match=r"endpoint=tinny: runtime\.endpoints has no such entry"):
        served(tiny, runtime, endpoint="tinny")
