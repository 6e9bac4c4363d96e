"""Submits the jobs of a plan to Slurm, with submitit and Slurm's own dependencies.

All that a job works from is frozen on disk when it is submitted. A step that a living job of an earlier submission will
do is not submitted again: what needs it waits for that job.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from safetax.errors import UserError
from safetax.plan.graph import Plan
from safetax.plan.record import target_folder
from safetax.plan.status import PlanStatus, status_of
from safetax.run.slurm.executor import send
from safetax.run.slurm.jobs import cluster_jobs, resources_for
from safetax.run.slurm.record import FOLDER, REPORT, Submission, Submitted, find, save
from safetax.run.slurm.table import print_submission
from safetax.run.slurm.work import ReportJob, StepsJob
from safetax.run.terminal import say, shown
from safetax.store.claims import claim, claimed_by, submitting
from safetax.store.slurm import cancel, check_slurm, living_among, queue

REPORT_MINUTES = 120


def submit(plan: Plan, outputs: Path, sweep: bool, console: Console) -> Path | None:
    """Submit what is to be done of a plan, and return the folder where it can be watched; None: all is done.

    Raises:
        UserError: there is no Slurm or it does not answer, submitit is not installed, or Slurm refuses a job.
    """
    check_slurm()
    queue()  # raises where its controller does not answer
    target = target_folder(plan, outputs, sweep)
    with submitting(outputs):  # two who submit at once must see each other's jobs
        earlier = submission.jobs if (submission := find(target)) else ()
        submission = _submit(status_of(plan, outputs), target, sweep, earlier, console)
    if submission is not None:
        _show(submission, {job.id for job in earlier}, console)
        return target
    return None


def _submit(
    status: PlanStatus, target: Path, sweep: bool, earlier: Sequence[Submitted], console: Console
) -> Submission | None:
    """Submit what is to be done of a plan; ``earlier`` are the jobs that were submitted for it before."""
    plan, store, outputs = status.plan, status.store, status.store.root
    config = plan.runs[0].config
    makers = claimed_by(outputs, [step.key for step in status.steps])
    alive = living_among([*makers.values(), *(job.id for job in earlier)], lambda text: say(console, text))
    at_work = steps_at_work(status, {key: job for key, job in makers.items() if job in alive})
    jobs = cluster_jobs(status, at_work)
    if not jobs and not at_work:
        return None
    (target / FOLDER).mkdir(parents=True, exist_ok=True)
    submitted = still_at_work(earlier, at_work)
    place = {job.id: index for index, job in enumerate(submitted)}
    first = len(submitted)
    elsewhere = {key: number for key, number in at_work.items() if number not in place}
    numbers: list[str] = []
    try:
        for job in jobs:
            for step in job.steps:
                store.freeze(step, status.to_do[step.key].again)
            makers = {
                at_work[source.key] for step in job.steps for source in step.inputs.values() if source.key in at_work
            }
            kept = {place[number] for number in makers if number in place}
            after = tuple(sorted(kept | {first + index for index in job.after}))
            others = tuple(sorted(makers - place.keys()))
            waits = [*(submitted[index].id for index in after), *others]
            dependency = f"afterok:{':'.join(waits)}" if waits else None
            directories = [str(store.directory(step)) for step in job.steps]
            interpreter = config.runtime.python.get(job.kind)
            work = StepsJob(job.kind, directories, interpreter, str(target), config.runtime.slurm.warn_seconds)
            numbers.append(send(work, job.title, job.resources, dependency, target, config))
            for step in job.steps:
                claim(outputs, step.key, numbers[-1])
            steps = tuple(step.key for step in job.steps)
            submitted.append(Submitted(numbers[-1], job.kind, job.title, steps, after, vars(job.resources), others))
        submitted.append(_send_report(plan, outputs, sweep, target, submitted, elsewhere))
    except BaseException:
        cancel(numbers)  # a part of the graph alone would be of use to nobody
        raise
    with contextlib.suppress(UserError):  # the new report comes in the place of the earlier one
        cancel(job.id for job in earlier if job.kind == REPORT and job.id in alive)
    runs = {run.name: [step.key for step in run.steps] for run in plan.runs}
    overrides = {run.name: run.overrides for run in plan.runs}
    submission = Submission(target, outputs, sweep, tuple(submitted), runs, elsewhere, overrides)
    save(submission, plan)
    return submission


def steps_at_work(status: PlanStatus, living: Mapping[str, str]) -> dict[str, str]:
    """Return the steps that a living job will do, with its number.

    A job that needs what nobody makes any more will do nothing: Slurm has not come to cancel it yet.

    Args:
        status: of the plan.
        living: the jobs that were submitted to make steps, and live.
    """
    complete = {key for key, known in status.statuses.items() if known.complete}
    found: dict[str, str] = {}
    in_vain: set[str] = set()
    for step in (step for step in status.steps if step.key in living):
        sources = {source.key for source in step.inputs.values()}
        if not sources <= complete | found.keys():
            in_vain.add(living[step.key])
        elif step.key not in complete or sources & found.keys():
            found[step.key] = living[step.key]
    if not in_vain:
        return found
    return steps_at_work(status, {key: job for key, job in living.items() if job not in in_vain})


def still_at_work(earlier: Sequence[Submitted], at_work: Mapping[str, str]) -> list[Submitted]:
    """Return the jobs of an earlier submission from the same folder that will do steps, for the new record."""
    numbers = set(at_work.values())
    place: dict[int, int] = {}
    found: list[Submitted] = []
    for index, job in enumerate(earlier):
        if job.id in numbers:
            place[index] = len(found)
            found.append(replace(job, after=tuple(place[before] for before in job.after if before in place)))
    return found


def _send_report(
    plan: Plan, outputs: Path, sweep: bool, target: Path, submitted: Sequence[Submitted], elsewhere: Mapping[str, str]
) -> Submitted:
    """Submit the job that begins when all others have ended, well or not."""
    config, title = plan.runs[0].config, "results and report"
    needed = resources_for(config.runtime.slurm, min(REPORT_MINUTES, config.runtime.slurm.minutes))
    numbers = dict.fromkeys([*(job.id for job in submitted), *elsewhere.values()])
    work = ReportJob(plan, str(outputs), sweep, str(target))
    number = send(work, title, needed, f"afterany:{':'.join(numbers)}", target, config)
    return Submitted(number, REPORT, title, (), tuple(range(len(submitted))), vars(needed))


def _show(submission: Submission, before: Collection[str], console: Console) -> None:
    """Print the jobs and how to watch them; ``before`` are the numbers of those that were submitted earlier."""
    print_submission(submission, console)
    kept = sum(job.id in before for job in submission.jobs)
    told = [f"{len(submission.jobs) - kept} jobs submitted."]
    if kept:
        told.append(f"{kept} that were submitted from here before go on.")
    if submission.elsewhere:
        told.append(f"{len(submission.elsewhere)} steps are made by jobs of other submissions.")
    say(
        console,
        f"{' '.join(told)} This shell may go.\n"
        f"Watch:   python -m safetax.sweep {shown(submission.target)}\n"
        f"Results: {shown(submission.target)}",
    )
