"""The process that workers run in, spoken to as the run speaks to it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from safetax.store.child_process import clean_environment
from safetax.store.status import Store
from tests.support.tiny_steps import chats, prompts


def test_requests_are_done_in_turn_until_the_input_closes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    good, bad = prompts(4), prompts(10_000)
    directories = [store.freeze(good), store.freeze(bad), store.freeze(chats(4))]
    requests: list[dict[str, Any]] = [
        {"kind": "prepare", "directories": [str(path) for path in directories[:2]]},
        {"kind": "prepare", "directories": [str(directories[2])]},
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "safetax.workers.serve"],
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    events = []
    for request in requests:
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        while True:
            events.append(json.loads(process.stdout.readline()))
            if events[-1]["event"] == "done":
                break
    process.stdin.close()
    assert process.wait(timeout=30) == 0
    told = [event["event"] for event in events if event["event"] != "progress"]
    assert told == ["started", "finished", "started", "failed", "done", "started", "finished", "done"]
    assert next(event for event in events if event["event"] == "failed")["user"]
    for directory in directories:
        assert (directory / "worker.log").read_text().startswith("--- ")
