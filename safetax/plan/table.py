"""Shows a plan as a table: what would run, what is cached, and why something must run again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safetax.formatting import clock
from safetax.models.gpus import visible_gpus
from safetax.plan.estimate import Estimate, Estimates, estimates
from safetax.plan.estimate.memory import GIB
from safetax.plan.estimate.training import FEWEST_STEPS
from safetax.plan.power import ASSUMED, detectable
from safetax.plan.status import PlanStatus
from safetax.store.step import Step

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

MOST_DIFFERENCES = 3


@dataclass(frozen=True)
class Row:
    """One step of the plan: whether it is cached, why not, and how long it should take."""

    step: Step
    cached: bool
    reason: str
    seconds: float | None


def rows_of(status: PlanStatus) -> list[Row]:
    """Return the rows of a plan against what is on disk."""
    rows = []
    for step in status.steps:
        pending = status.to_do.get(step.key)
        if pending is None:
            rows.append(Row(step, True, "", None))
            continue
        _, differences = status.nearest(step) or (None, [])
        reason = "" if pending.status.state == "absent" else pending.status.reason
        if not pending.again:
            reason = "an input is made again; kept if that comes out the same"
        elif pending.status.complete:
            reason = "its weights were let go, and are needed"
        elif not reason and not pending.below:
            reason = "; ".join(differences[:MOST_DIFFERENCES])
        rows.append(Row(step, False, reason, seconds_of(step, status.timed_like(step))))
    return rows


def seconds_of(step: Step, like: Mapping[str, Any] | None) -> float | None:
    """Return the seconds that a step should take, from the manifest of a finished step that did the same work."""
    if like is None:
        return None
    seconds = float(like["provenance"]["seconds"])
    if step.kind == "train":
        before, summary = like["identity"]["training"]["epochs"], like["summary"]
        times = step.identity["training"]["epochs"] / before if before else 0
        if not before or (times > 1 and summary.get("optimizer_steps", FEWEST_STEPS) < FEWEST_STEPS):
            return None  # the first steps say little of those that follow
        trained = min(float(summary.get("train_seconds", seconds)), seconds)
        return seconds + trained * (times - 1)
    return seconds


def print_plan(status: PlanStatus, console: Console) -> None:
    """Print the graph of a plan, a line that sums it up, and what real models will take."""
    from rich.table import Table
    from rich.text import Text

    rows = rows_of(status)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("step", "fingerprint", "what it is"):
        table.add_column(name, no_wrap=name != "what it is")
    table.add_column("state", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for row in rows:
        what = Text(row.step.title)
        if row.reason:
            what.append(f"\n{row.reason}", style="dim")
        state = Text("cached", style="green") if row.cached else Text("to run", style="yellow")
        seconds = "" if row.seconds is None else f"~{clock(row.seconds)}"
        table.add_row(row.step.kind, row.step.fingerprint, what, state, seconds)
    console.print(table)
    waiting = [row for row in rows if not row.cached]
    known = [row.seconds for row in waiting if row.seconds is not None]
    time = ""
    if known:
        unknown = len(waiting) - len(known)
        time = f", about {clock(sum(known))}" + (f" and {unknown} steps of unknown time" if unknown else "")
    runs = f"{len(status.plan.runs)} run{'s' * (len(status.plan.runs) != 1)}"
    console.print(
        f"{runs}, {len(rows)} steps: {len(rows) - len(waiting)} cached, {len(waiting)} to run{time}. Nothing was run.",
        highlight=False,
        soft_wrap=True,
    )
    print_estimates(estimates(status, status.waiting), console)
    print_detectable(detectable(status), console)


def print_estimates(found: Estimates, console: Console) -> None:
    """Print what each stage takes, what it follows from, and the sum."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    for stage in found.stages:
        console.print()
        console.print(Text(stage.title, style="bold"))
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column()
        for name, text in stage_lines(stage):
            table.add_row(name, text)
        console.print(Padding(table, (0, 0, 0, 2), expand=False))
    if found.stages or found.unknown:
        console.print()
    for text in found.unknown:
        console.print(Text(f"Not known: {text}.", style="yellow"))
    for name, size in found.downloads.items():
        console.print(f"To be downloaded: {name}, {size / GIB:,.0f} GiB.", highlight=False)
    if found.stages:
        downloads = sum(found.downloads.values())
        of_them = f", {downloads / GIB:,.0f} of them downloads" if downloads else ""
        console.print(
            f"Together at most {hours(found.hours)} and {(found.disk + downloads) / GIB:,.0f} GiB of disk{of_them}. "
            "All of it is estimated, except where it says measured.",
            highlight=False,
        )
        if any(stage.gpus for stage in found.stages) and not visible_gpus():
            console.print(
                f"This machine has no GPU: it has {os.cpu_count()} cores and {memory_here() / GIB:,.0f} GiB of memory. "
                "What stands above is for the GPUs that runtime.gpu_memory, runtime.gpu_tflops and runtime.devices "
                "describe; of this machine's CPU nothing is known before a first step of the model is finished on it.",
                highlight=False,
            )


def memory_here() -> int:
    """Return the bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def print_detectable(found: Sequence[tuple[str, str]], console: Console) -> None:
    """Print the least differences that the evaluations would find, and what is assumed of them."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    if not found:
        return
    console.print()
    console.print(Text("least differences found, in points", style="bold"))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, text in found:
        table.add_row(name, Text(text))
    table.add_row("assumed", Text(ASSUMED, style="dim"))
    console.print(Padding(table, (0, 0, 0, 2), expand=False))


def stage_lines(stage: Estimate) -> list[tuple[str, Text]]:
    """Return what is shown of a stage: names and texts."""
    from rich.text import Text

    verdict = Text("fits", style="green") if stage.fits else Text("does not fit", style="bold red")
    memory = Text(f"{gib(stage.memory.total)} of {gib(stage.limit)} GiB on a GPU, ")
    parts = " + ".join(f"{name} {gib(size)}" for name, size in stage.memory.parts.items())
    lines = [("where", Text(stage.place))]
    if stage.gpus:
        lines.append(("memory", memory + verdict + Text(f": {parts}")))
    if stage.memory.host:
        lines.append(("host", Text(f"{stage.memory.host / GIB:,.0f} GiB of each node's memory")))
    if not stage.fits:
        ways = (
            "\n".join(stage.remedies)
            or "no setting that is known here: GPUs with more memory, or shorter rows (max_tokens)"
        )
        lines.append(("would fit", Text(ways)))
    taken = f"{hours(stage.hours)} on {stage.gpus} GPU{'s' * (stage.gpus > 1)}: " if stage.gpus else ""
    lines.append(("time", Text(taken + stage.time)))
    if stage.disk >= GIB:
        while_at_work = f", and {stage.scratch / GIB:,.0f} more while one is at work" if stage.scratch > GIB else ""
        lines.append(("disk", Text(f"{stage.disk / GIB:,.0f} GiB{while_at_work}")))
    return lines


def gib(size: float) -> str:
    """Return bytes in GiB, without the unit."""
    return f"{size / GIB:.1f}".removesuffix(".0")


def hours(count: float) -> str:
    """Return GPU-hours in words."""
    if count < 0.1:
        return "less than 0.1 GPU-hours"
    return f"{count:,.0f} GPU-hours" if count >= 10 else f"{count:.1f} GPU-hours"
