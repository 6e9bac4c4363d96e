"""What is said of steps at work."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from safetax.run import view
from safetax.run.live_view import LiveView
from safetax.run.view import PlainView
from safetax.store.step import Step


@pytest.mark.parametrize("kind", [PlainView, LiveView])
def test_the_time_left_is_that_of_the_work_that_was_seen(
    kind: type[PlainView], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that goes on from a checkpoint, behind a minute of waiting: 200 steps in 20 seconds, 200 to go."""
    now = [0.0]
    monkeypatch.setattr(view.time, "monotonic", lambda: now[0])
    text = io.StringIO()
    shown = kind(Console(file=text, width=120))
    step = Step("train", "align", {}, {})
    shown.begin(1)
    shown.started(step)
    now[0] = 60.0
    shown.progress(step, 600, 1000, "steps", None)
    now[0] = 80.0
    shown.progress(step, 800, 1000, "steps", 2500.0)
    said = str(shown.bars.tasks[-1].fields["detail"]) if isinstance(shown, LiveView) else text.getvalue()
    assert said.strip().splitlines()[-1].endswith("800 of 1000 steps, 2,500 tokens/s, 20 s left"), said
