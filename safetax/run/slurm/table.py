"""Tables of jobs for the terminal: those that a plan would become, and those that were submitted."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from safetax.plan.estimate import estimates
from safetax.plan.status import PlanStatus
from safetax.plan.table import rows_of
from safetax.run.slurm.jobs import Resources, cluster_jobs
from safetax.run.slurm.record import Submission
from safetax.run.terminal import add_row, plain_table, say


def print_jobs(status: PlanStatus, console: Console) -> None:
    """Print the jobs that a plan would be submitted as, what each asks for, and how long it should take."""
    jobs = cluster_jobs(status, {})
    hours = hours_of(status)
    table = plain_table("job", "what it is", "needs", "after", ">limit", ">estimate")
    known = 0.0
    for index, job in enumerate(jobs):
        estimate = [hours[step.key] for step in job.steps if step.key in hours]
        whole = sum(estimate) if len(estimate) == len(job.steps) else None
        known += (whole or 0.0) * max(1, job.resources.gpus * job.resources.nodes)
        after = ", ".join(str(place + 1) for place in job.after)
        shown = "" if whole is None else _hours(whole)
        limit = _hours(job.resources.minutes / 60)
        add_row(table, str(index + 1), f"{job.kind}: {job.title}", str(job.resources), after, limit, shown)
    last = str(len(jobs) + 1)
    add_row(table, last, "results and report", "", "all" if jobs else "", "", "")
    console.print()
    console.print(table)
    gpus = max((job.resources.gpus * job.resources.nodes for job in jobs), default=0)
    hungry = f", at most {gpus} GPUs in one, about {known:,.1f} GPU-hours where known" if gpus else ""
    say(console, f"{len(jobs) + 1} jobs{hungry}.")


def print_submission(submission: Submission, console: Console) -> None:
    """Print the jobs that were submitted."""
    table = plain_table("job", "what it is", "needs", "after")
    for job in submission.jobs:
        after = _shortened([*(submission.jobs[place].id for place in job.after), *job.others])
        needs = str(Resources(**job.resources))
        add_row(table, job.id, f"{job.kind}: {job.title}" if job.steps else job.title, needs, after)
    console.print(table)


def hours_of(status: PlanStatus) -> dict[str, float]:
    """Return how many hours each step that is to be done should take, where that can be said."""
    rows = [row for row in rows_of(status) if not row.cached]
    found = {row.step.key: row.seconds / 3600 for row in rows if row.seconds is not None}
    for stage in estimates(status, status.waiting).stages:
        for step in stage.steps:
            found.setdefault(step.key, stage.hours / len(stage.steps) / max(1, stage.gpus))
    return found


def _shortened(numbers: Sequence[str]) -> str:
    return ", ".join(numbers) if len(numbers) <= 3 else f"{len(numbers)} jobs"


def _hours(hours: float) -> str:
    """Return hours as a person says them."""
    if hours >= 1:
        return f"{hours:,.1f} h"
    return f"{hours * 60:.0f} min" if hours >= 1 / 60 else f"{hours * 3600:.0f} s"
