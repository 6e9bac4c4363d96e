"""What a log or a pipe is shown while a graph runs: plain lines; a person sees more (:mod:`safetax.run.live_view`)."""

from __future__ import annotations

import time

from rich.console import Console

from safetax.formatting import clock
from safetax.run.terminal import say
from safetax.store.step import Step

LINE_EVERY = 15.0
"""Seconds between two progress lines of one step in a log."""


class PlainView:
    """Plain lines, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.total = self.done = self.reused_count = 0
        self.since: dict[str, float] = {}
        self.first: dict[str, tuple[float, float]] = {}
        """When a step first told how far it was, and how far: what it resumed and what it waited for took no time."""
        self.said: dict[str, float] = {}

    def begin(self, total: int) -> None:
        """Take in how many steps there are."""
        self.total = total

    def reused(self, step: Step) -> None:
        """Count a step that is reused; it is said in sum only."""
        self.done += 1
        self.reused_count += 1

    def note(self, text: str) -> None:
        """Print a line."""
        say(self.console, text)

    def started(self, step: Step) -> None:
        """Show that a worker has begun a step."""
        self.since.setdefault(step.key, time.monotonic())

    def progress(self, step: Step, done: float, total: float, unit: str, rate: float | None) -> None:
        """Show how far a long step is, now and then; ``rate`` in tokens per second where known."""
        now = time.monotonic()
        detail = self._describe(step, done, total, unit, rate)
        self.said.setdefault(step.key, self.since.setdefault(step.key, now))
        if done < total and now - self.said[step.key] >= LINE_EVERY:
            self.said[step.key] = now
            self.note(f"{self._count()} {step.title}: {detail}")

    def finished(self, step: Step, seconds: float) -> None:
        """Show that a step is complete, after so many seconds."""
        self._end(step, f"{step.title} [{step.key}] {clock(seconds)}")

    def failed(self, step: Step, message: str) -> None:
        """Show that a step failed, and why."""
        self._end(step, f"{message} [{step.key}]")

    def _end(self, step: Step, text: str) -> None:
        self.done += 1
        self.note(f"{self._count()} {text}")

    def _count(self) -> str:
        width = len(str(self.total))
        return f"[{self.done:>{width}}/{self.total}]"

    def _describe(self, step: Step, done: float, total: float, unit: str, rate: float | None) -> str:
        now = time.monotonic()
        begun, before = self.first.setdefault(step.key, (now, done))
        passed, made = now - begun, done - before
        left = f", {clock(passed / made * (total - done))} left" if made > 0 and passed > 2 else ""
        speed = f", {rate:,.0f} tokens/s" if rate else ""
        return f"{done:.0f} of {total:.0f} {unit}{speed}{left}"
