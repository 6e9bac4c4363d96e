"""A replica's own side, as a process that speaks JSON lines."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from safetax.evaluation.engines import _vllm_replica
from safetax.store.child_process import clean_environment

SAMPLING = {"max_tokens": 2, "temperature": 0.5, "top_p": 1.0, "seed": 1, "stop": ["x"], "stop_token_ids": []}


@pytest.mark.usefixtures("vllm_stand_in")
def test_requests_that_are_under_way_together_are_answered_each_by_its_id() -> None:
    lines = [{"model": "m"}, *({"id": n, "tokens": [n, n + 1, n + 2], "sampling": SAMPLING} for n in range(3))]
    process = subprocess.Popen(
        [sys.executable, "-m", _vllm_replica.__name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("".join(json.dumps(line) + "\n" for line in lines))
    process.stdin.flush()
    said = [json.loads(process.stdout.readline()) for _ in range(4)]
    assert said[0] == {"event": "ready"}
    tokens = {event["id"]: (event["tokens"], event["finish"], event["reason"]) for event in said[1:]}
    assert tokens == {n: ([n + 2, n + 1], "length", None) for n in range(3)}
    process.stdin.close()
    assert process.wait(20) == 0 and process.stdout.read() == ""
