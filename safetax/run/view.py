"""The terminal while a graph runs: a live view for a person, plain lines for a log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

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


class LiveView(PlainView):
    """A live line of each step at work, with its bar, over lines of what is done."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}", markup=False, style="dim"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self.whole = self.bars.add_task("steps", total=None, detail="")
        self.tasks: dict[str, TaskID] = {}

    def begin(self, total: int) -> None:
        """Take in how many steps there are."""
        super().begin(total)
        self._show_whole()

    def reused(self, step: Step) -> None:
        """Count a step that is reused."""
        super().reused(step)
        self._show_whole()

    def started(self, step: Step) -> None:
        """Give the step a bar."""
        super().started(step)
        if step.key not in self.tasks:
            self.tasks[step.key] = self.bars.add_task(shorten(step.title), total=None, detail="")

    def progress(self, step: Step, done: float, total: float, unit: str, rate: float | None) -> None:
        """Move the step's bar."""
        self.started(step)
        detail = self._describe(step, done, total, unit, rate)
        self.bars.update(self.tasks[step.key], completed=done, total=total, detail=detail)

    def _end(self, step: Step, text: str) -> None:
        """Turn the step's bar into a line."""
        if step.key in self.tasks:
            self.bars.remove_task(self.tasks.pop(step.key))
        super()._end(step, text)
        self._show_whole()

    def _show_whole(self) -> None:
        detail = f"{self.done} of {self.total}, {self.reused_count} reused"
        self.bars.update(self.whole, completed=self.done, total=self.total, detail=detail)


def shorten(title: str, width: int = 52) -> str:
    """Return a title that fits beside a bar."""
    return title if len(title) <= width else title[: width - 1] + "…"


@contextlib.contextmanager
def open_view(console: Console) -> Iterator[PlainView]:
    """Yield the view that fits where the output goes."""
    if not console.is_terminal:
        yield PlainView(console)
        return
    view = LiveView(console)
    with view.bars:
        yield view
