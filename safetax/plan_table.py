"""Shows a plan as a table: what would run, what is cached, and why something must run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safetax.plan import Plan
from safetax.step import Step
from safetax.store import Store, described
from safetax.view import clock

if TYPE_CHECKING:
    from rich.console import Console

MOST_DIFFERENCES = 3


@dataclass(frozen=True)
class Row:
    """One step of the plan: whether it is cached, why not, and how long it should take."""

    step: Step
    cached: bool
    reason: str
    seconds: float | None


def rows_of(plan: Plan, store: Store) -> list[Row]:
    """Return the rows of a plan against what is on disk."""
    finished: dict[str, list[dict[str, Any]]] = {}
    for manifest in store.finished():
        finished.setdefault(manifest["kind"], []).append(manifest)
    to_run: set[str] = set()
    rows = []
    for step in plan.steps:
        status = store.status(step)
        moved = any(source.key in to_run for source in step.inputs.values())
        if status.complete and not moved:
            rows.append(Row(step, True, "", None))
            continue
        to_run.add(step.key)
        similar = finished.get(step.kind, [])
        reason = "" if status.state == "absent" else status.reason
        if status.complete:
            reason = "an input is made again; kept if that comes out the same"
        elif not reason and not moved:
            reason = "; ".join(store.differences(step, similar)[:MOST_DIFFERENCES])
        rows.append(Row(step, False, reason, estimate(step, similar)))
    return rows


def estimate(step: Step, similar: list[dict[str, Any]]) -> float | None:
    """Return the seconds that a step should take, from the finished step of its kind that is most like it."""
    ours = described(step.frozen())
    best: tuple[int, Mapping[str, Any]] | None = None
    for manifest in similar:
        theirs = described(manifest)
        distance = sum(ours.get(key) != theirs.get(key) for key in ours.keys() | theirs.keys())
        if best is None or distance < best[0]:
            best = (distance, manifest)
    if best is None or best[0] > len(ours) / 2:
        return None
    seconds = float(best[1]["provenance"]["seconds"])
    if step.kind == "train":
        before = best[1]["identity"]["training"]["epochs"]
        return seconds * step.identity["training"]["epochs"] / before if before else None
    return seconds


def print_plan(plan: Plan, store: Store, console: Console) -> None:
    """Print the graph of a plan and a line that sums it up."""
    from rich.table import Table
    from rich.text import Text

    rows = rows_of(plan, store)
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
    runs = f"{len(plan.runs)} run{'s' * (len(plan.runs) != 1)}"
    console.print(
        f"{runs}, {len(rows)} steps: {len(rows) - len(waiting)} cached, {len(waiting)} to run{time}. Nothing was run.",
        highlight=False,
        soft_wrap=True,
    )
