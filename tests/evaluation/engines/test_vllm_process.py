"""A replica's process as its parent sees it: what it is asked, what it says, and how it ends."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from safetax.evaluation.engines._vllm_process import Events, Replica

SAMPLING = {"max_tokens": 3, "temperature": 0.0, "top_p": 1.0, "seed": None, "stop": [], "stop_token_ids": [7]}


@contextmanager
def started(model: str = "m", devices: tuple[str, ...] = ()) -> Iterator[tuple[Replica, Events]]:
    events: Events = queue.Queue()
    replica = Replica(0, devices, 2, {"model": model}, events)
    try:
        yield replica, events
    finally:
        replica.end(20)


def heard(events: Events) -> dict[str, Any]:
    return events.get(timeout=60)[1]


@pytest.mark.usefixtures("vllm_stand_in")
def test_a_replica_answers_and_ends_when_its_input_closes() -> None:
    with started() as (replica, events):
        assert heard(events) == {"event": "ready"}
        replica.ask(5, [1, 7, 2, 3], SAMPLING)
        assert heard(events) == {"event": "done", "id": 5, "tokens": [3, 2, 7], "finish": "stop", "reason": 7}
        replica.ask(6, [], SAMPLING)
        assert heard(events) == {"event": "refused", "id": 6, "message": "ValueError: an empty prompt"}
        assert replica.under_way == {5, 6}
        replica.close_stdin()
        assert heard(events) == {"event": "died"}
        assert replica.process.wait(20) == 0


@pytest.mark.usefixtures("vllm_stand_in")
def test_a_replica_that_cannot_start_is_heard_with_the_end_of_its_log() -> None:
    with started("broken") as (replica, events):
        assert heard(events) == {"event": "died"}
        assert "RuntimeError: KV cache is needed, and there is none" in replica.log
    assert replica.process.returncode == 1 and not replica.alive


@pytest.mark.usefixtures("vllm_stand_in")
def test_a_replica_sees_its_own_devices_and_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    for devices, pinned in (((), True), (("4", "5"), False)):
        with started(devices=devices) as (replica, events):
            heard(events)
            entries = Path(f"/proc/{replica.process.pid}/environ").read_text().split("\0")
        told = dict(entry.split("=", 1) for entry in entries if entry)
        assert told["CUDA_VISIBLE_DEVICES"] == ",".join(devices) and "RANK" not in told
        assert told["GOMP_SPINCOUNT"] == "7"  # what the user set stays
        assert ("VLLM_CPU_OMP_THREADS_BIND" in told) == pinned
