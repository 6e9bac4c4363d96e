"""The terminal while a graph runs: a live view for a person, plain lines for a log."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from safetax.formatting import clock
from safetax.run.terminal import say
from safetax.store.step import Step

if TYPE_CHECKING:
    from rich.console import Console

LINE_EVERY = 15.0
"""Seconds between two progress lines of one step in a log."""


class View(Protocol):
    """Where the progress of a graph is shown."""

    def begin(self, total: int) -> None:
        """Take in how many steps there are."""
        ...

    def reused(self, step: Step) -> None:
        """Show that a step is reused."""
        ...

    def note(self, text: str) -> None:
        """Say something in a line of its own."""
        ...

    def started(self, step: Step) -> None:
        """Show that a worker has begun a step."""
        ...

    def progress(self, step: Step, done: float, total: float, unit: str, rate: float | None) -> None:
        """Show how far a step is; ``rate`` in tokens per second where known."""
        ...

    def finished(self, step: Step, seconds: float) -> None:
        """Show that a step is complete, after so many seconds."""
        ...

    def failed(self, step: Step, message: str) -> None:
        """Show that a step failed, and why."""
        ...


class PlainView:
    """Plain lines, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.total = self.done = self.reused_count = 0
        self.since: dict[str, float] = {}
        self.first: dict[str, tuple[float, float]] = {}
        """When a step first told how far it was, and how far: what it resumed and what it waited for took no time."""
        self.said: dict[str, float] = {}
        self.begun = time.monotonic()

    def __enter__(self) -> PlainView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

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
        """Print how far a long step is, now and then."""
        now = time.monotonic()
        detail = self._describe(step, done, total, unit, rate)
        self.said.setdefault(step.key, self.since.setdefault(step.key, now))
        if done < total and now - self.said[step.key] >= LINE_EVERY:
            self.said[step.key] = now
            self.note(f"{self._count()} {step.title}: {detail}")

    def finished(self, step: Step, seconds: float) -> None:
        """Print that a step is complete."""
        self.done += 1
        self.note(f"{self._count()} {step.title} [{step.key}] {clock(seconds)}")

    def failed(self, step: Step, message: str) -> None:
        """Print that a step failed."""
        self.done += 1
        self.note(f"{self._count()} {message} [{step.key}]")

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
    """A live line of the step at work, with its bar, over lines of what is done."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

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
        self.tasks: dict[str, object] = {}

    def __enter__(self) -> LiveView:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def begin(self, total: int) -> None:
        """Take in how many steps there are."""
        super().begin(total)
        self._whole()

    def reused(self, step: Step) -> None:
        """Show that a step is reused."""
        super().reused(step)
        self._whole()

    def started(self, step: Step) -> None:
        """Show the step."""
        super().started(step)
        if step.key not in self.tasks:
            self.tasks[step.key] = self.bars.add_task(shorten(step.title), total=None, detail="")

    def progress(self, step: Step, done: float, total: float, unit: str, rate: float | None) -> None:
        """Move the step's bar."""
        self.started(step)
        detail = self._describe(step, done, total, unit, rate)
        self.bars.update(self.tasks[step.key], completed=done, total=total, detail=detail)  # type: ignore[arg-type]

    def finished(self, step: Step, seconds: float) -> None:
        """Turn the step's bar into a line."""
        self._drop(step)
        super().finished(step, seconds)
        self._whole()

    def failed(self, step: Step, message: str) -> None:
        """Turn the step's bar into a line."""
        self._drop(step)
        super().failed(step, message)
        self._whole()

    def _drop(self, step: Step) -> None:
        task = self.tasks.pop(step.key, None)
        if task is not None:
            self.bars.remove_task(task)  # type: ignore[arg-type]

    def _whole(self) -> None:
        detail = f"{self.done} of {self.total}, {self.reused_count} reused"
        self.bars.update(self.whole, completed=self.done, total=self.total, detail=detail)


def shorten(title: str, width: int = 52) -> str:
    """Return a title that fits beside a bar."""
    return title if len(title) <= width else title[: width - 1] + "…"


def open_view(console: Console) -> PlainView:
    """Return the view that fits where the output goes."""
    return LiveView(console) if console.is_terminal else PlainView(console)
