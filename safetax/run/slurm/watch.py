"""What became of the jobs of a submission, from Slurm's queue, the jobs' own words and the steps on disk."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from safetax.errors import UserError
from safetax.plan.graph import Plan
from safetax.run.outcome import RunOutcome
from safetax.run.slurm.record import REPORT, Submission, Submitted
from safetax.store.manifest import LOG, read_manifest
from safetax.store.slurm import Queued, queue
from safetax.store.status import Store

State = Literal["waiting", "running", "done", "failed", "cancelled"]

ENDS = {
    "OUT_OF_MEMORY": "it took more memory than it asked for; raise runtime.slurm.memory_gb, or cpu_memory_gb",
    "TIMEOUT": "its time was over, and it was not queued again; raise runtime.slurm.minutes or runtime.slurm.requeues",
    "NODE_FAIL": "its node failed",
    "CANCELLED": "it was cancelled",
    "PREEMPTED": "it was preempted, and not queued again",
}
"""What Slurm's words for the end of a job mean."""
SILENT = (
    "it ended without a word, and nothing is in its log: does its node see this folder (runtime.outputs must lie on a "
    "file system that all nodes share)?"
)


@dataclass(frozen=True)
class JobStatus:
    """A job, and what is known of it now."""

    job: Submitted
    state: State
    why: str = ""
    """Why it waits, failed or was cancelled."""
    node: str = ""
    elapsed: str = ""
    progress: Mapping[str, Any] = field(default_factory=dict)
    log: Path | None = None
    """The log of what failed."""


def job_statuses(submission: Submission, queued: Mapping[str, Queued]) -> list[JobStatus]:
    """Return what became of each job.

    Args:
        submission: what was submitted.
        queued: the jobs that Slurm still knows, by number.
    """
    found: list[JobStatus] = []
    for job in submission.jobs:
        found.append(_job_status(submission, job, queued.get(job.id), found))
    return found


def _job_status(submission: Submission, job: Submitted, now: Queued | None, before: list[JobStatus]) -> JobStatus:
    told = submission.state(job)
    done = told.get("state") == "done" if job.kind == REPORT else all(_complete(submission, key) for key in job.steps)
    if now is not None and now.state == "RUNNING":
        return JobStatus(job, "running", node=now.node, elapsed=now.elapsed, progress=told.get("progress") or {})
    if done:
        return JobStatus(job, "done", node=told.get("node") or "")
    if now is not None and now.living:
        return JobStatus(job, "waiting", _why_waiting(now, told))
    needed = [before[place] for place in sorted(_before(submission, job))] if job.kind != REPORT else []
    failed = next((seen for seen in needed if seen.state == "failed"), None)
    if failed is not None:
        return JobStatus(job, "cancelled", f"since job {failed.job.id} ({failed.job.title}) failed: {failed.log}")
    log = _log(submission, job)
    if told.get("state") == "failed":
        return JobStatus(job, "failed", told.get("message", ""), told.get("node") or "", log=log)
    if now is not None and now.state == "CANCELLED":
        return JobStatus(job, "cancelled", ENDS["CANCELLED"], log=log)
    said = ENDS.get(now.state, f"Slurm says {now.state}") if now is not None else "Slurm knows it no more"
    silent = not told and not submission.log(job).exists() and now is not None
    return JobStatus(job, "failed", SILENT if silent else said, told.get("node") or "", log=log)


def _complete(submission: Submission, key: str) -> bool:
    return read_manifest(submission.outputs / key) is not None


def _before(submission: Submission, job: Submitted) -> set[int]:
    """Return the places of all jobs that must end well before a job can begin."""
    found: set[int] = set()
    waiting = list(job.after)
    while waiting:
        place = waiting.pop()
        if place not in found:
            found.add(place)
            waiting += submission.jobs[place].after
    return found


def _why_waiting(now: Queued, told: Mapping[str, Any]) -> str:
    reasons = {
        "Dependency": "for what it needs",
        "BeginTime": "to be begun again",
        "Priority": "behind others in the queue",
        "Resources": "for free resources",
        "None": "",
    }
    again = "it goes on from where it was, " if told.get("state") == "requeued" else ""
    return again + reasons.get(now.reason, now.reason)


def _log(submission: Submission, job: Submitted) -> Path:
    """Return the log that says most: the worker's, else what the job itself printed."""
    for key in job.steps:
        if (submission.outputs / key / LOG).is_file() and not _complete(submission, key):
            return submission.outputs / key / LOG
    return submission.log(job)


def remaining(progress: Mapping[str, Any]) -> float | None:
    """Return the seconds that a step should still take at the pace that it has had."""
    done, total = progress.get("done") or 0, progress.get("total") or 0
    since = done - (progress.get("began_at") or 0)
    if since <= 0 or not total:
        return None
    return (time.time() - progress["began"]) * (total - done) / since


def outcome_of(plan: Plan, submission: Submission) -> RunOutcome:
    """Return which steps are finished, which failed and why, and which were not done for it."""
    queued: dict[str, Queued] = {}
    with contextlib.suppress(UserError):  # what the jobs said themselves is enough
        queued = queue()
    seen = {key: job for job in job_statuses(submission, queued) for key in job.job.steps}
    store, outcome = Store(submission.outputs), RunOutcome()
    for step in plan.steps:
        if store.status(step).complete:
            outcome.reused.append(step)
        elif any(source.key in outcome.failed or source.key in outcome.skipped for source in step.inputs.values()):
            outcome.skipped[step.key] = step
        else:
            outcome.failed[step.key] = f"{step.title} is not finished: {_why(seen.get(step.key))} [{step.key}]"
    return outcome


def _why(seen: JobStatus | None) -> str:
    if seen is None:
        return "a job of another submission was to make it"
    log = f"\n  log: {seen.log}" if seen.log else ""
    return f"job {seen.job.id} {seen.state}, {seen.why}{log}"
