"""What became of a plan on a cluster, in the terms in which a run on this machine tells it."""

from __future__ import annotations

import contextlib

from safetax.errors import UserError
from safetax.plan.graph import Plan
from safetax.run.outcome import RunOutcome
from safetax.run.slurm.record import Submission
from safetax.run.slurm.watch import JobStatus, job_statuses
from safetax.store.slurm import Queued, queue
from safetax.store.status import Store


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
