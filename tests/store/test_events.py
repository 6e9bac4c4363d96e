"""Events of a worker: for the parent process, for a person, and no more often than one can read."""

from __future__ import annotations

import io
import json

import pytest

from safetax.store import events
from safetax.store.events import Events


def test_progress_is_reported_now_and_then_and_always_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(events.time, "monotonic", lambda: now[0])
    told = io.StringIO()
    parent = Events(told, as_json=True)
    for done, seconds in ((1, 0.0), (2, 0.1), (3, 0.3), (4, 0.05)):
        now[0] += seconds
        parent.progress("train/a", done, 4, "steps", 2.0)
    parent.progress("train/b", 1, 4, "steps")  # another step has a clock of its own
    lines = [json.loads(line) for line in told.getvalue().splitlines()]
    assert [(line["step"], line["done"]) for line in lines] == [
        ("train/a", 1),
        ("train/a", 3),
        ("train/a", 4),
        ("train/b", 1),
    ]
    assert lines[0] == {
        "event": "progress", "step": "train/a", "done": 1, "total": 4, "unit": "steps", "rate": 2.0
    }  # fmt: skip


def test_a_failure_is_told_on_stderr_and_once(capsys: pytest.CaptureFixture[str]) -> None:
    told = io.StringIO()
    person = Events(told, as_json=False)
    person.send("started", step="train/a")
    person.send("failed", steps=["train/a"], message="mend this", user=True)
    assert told.getvalue() == "started step=train/a\n"
    assert capsys.readouterr().err == "Error: mend this\n"
