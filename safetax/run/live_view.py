"""What a person is shown at a terminal while a graph runs: a bar of each step at work, over lines of what is done."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from safetax.run.view import PlainView
from safetax.store.step import Step


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
