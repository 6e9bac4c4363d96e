"""Submits the jobs of a plan to Slurm, with submitit and Slurm's own dependencies.

All that a job works from is frozen on disk when it is submitted. A step that a living job of an earlier submission will
do is not submitted again: what needs it waits for that job.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetax.config.runtime import Slurm
from safetax.config.schema import Config
from safetax.errors import UserError, require
from safetax.plan.planner import Plan
from safetax.plan.record import sweep_folder
from safetax.run.slurm.jobs import Job, Resources, jobs_of, resources_for
from safetax.run.slurm.record import FOLDER, REPORT, Submission, Submitted, find, requeue_path, save
from safetax.store.claims import note, noted, submitting
from safetax.store.slurm import cancel, check_slurm, living_among, partitions, queue
from safetax.store.status import Store
from safetax.store.step import Step

if TYPE_CHECKING:
    from rich.console import Console

REPORT_MINUTES = 120


def check_cluster() -> None:
    """Raise UserError where there is no Slurm to submit to, or its controller does not answer."""
    check_slurm()
    queue()


def submit(plan: Plan, outputs: Path, sweep: bool, console: Console) -> Path | None:
    """Submit what is to be done of a plan, and return the folder where it can be watched; None: all is done.

    Raises:
        UserError: there is no Slurm or it does not answer, submitit is not installed, or Slurm refuses a job.
    """
    check_cluster()
    target = sweep_folder(plan, outputs) if sweep else outputs / "runs" / plan.runs[0].name

    def tell(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    with submitting(outputs):  # two who submit at once must see each other's jobs
        earlier = submission.jobs if (submission := find(target)) else ()
        submission = _submit(plan, outputs, target, sweep, earlier, tell)
    if submission is not None:
        _show(submission, {job.id for job in earlier}, console)
        return target
    return None


def cluster_jobs(plan: Plan, store: Store, at_work: Mapping[str, str]) -> list[Job]:
    """Return the jobs for what is not done, and what no job is to do already."""
    config_of = {step.key: run.config for run in reversed(plan.runs) for step in run.steps}
    to_do = store.to_do(plan.steps)
    return jobs_of(plan.steps, config_of, lambda step: step.key in to_do and step.key not in at_work)


def _submit(
    plan: Plan,
    outputs: Path,
    target: Path,
    sweep: bool,
    earlier: Sequence[Submitted],
    tell: Callable[[str], None],
) -> Submission | None:
    """Submit a plan; ``earlier`` are the jobs that were submitted for it before."""
    config = plan.runs[0].config
    store = Store(outputs, config.runtime.retry_errors)
    makers = noted(outputs, [step.key for step in plan.steps])
    alive = living_among([*makers.values(), *(job.id for job in earlier)], tell)
    at_work = steps_at_work(plan.steps, store, {key: job for key, job in makers.items() if job in alive})
    jobs = cluster_jobs(plan, store, at_work)
    if not jobs and not at_work:
        return None
    (target / FOLDER).mkdir(parents=True, exist_ok=True)
    submitted = still_at_work(earlier, at_work)
    place = {job.id: index for index, job in enumerate(submitted)}
    first = len(submitted)
    elsewhere = {key: number for key, number in at_work.items() if number not in place}
    to_do = store.to_do(plan.steps)
    numbers: list[str] = []
    try:
        for job in jobs:
            for step in job.steps:
                store.freeze(step, to_do[step.key].again)
            makers = {
                at_work[source.key] for step in job.steps for source in step.inputs.values() if source.key in at_work
            }
            kept = {place[number] for number in makers if number in place}
            after = tuple(sorted(kept | {first + index for index in job.after}))
            others = tuple(sorted(makers - place.keys()))
            waits = [*(submitted[index].id for index in after), *others]
            dependency = f"afterok:{':'.join(waits)}" if waits else None
            work = _steps_job(job, store, target, config)
            numbers.append(_send(work, job.title, job.resources, dependency, target, config))
            for step in job.steps:
                note(outputs, step.key, numbers[-1])
            steps = tuple(step.key for step in job.steps)
            submitted.append(Submitted(numbers[-1], job.kind, job.title, steps, after, vars(job.resources), others))
        submitted.append(_send_report(plan, outputs, sweep, target, submitted, elsewhere))
    except BaseException:
        cancel(numbers)  # a part of the graph alone would be of use to nobody
        raise
    with contextlib.suppress(UserError):  # the new report comes in the place of the earlier one
        cancel(job.id for job in earlier if job.kind == REPORT and job.id in alive)
    runs = {run.name: [step.key for step in run.steps] for run in plan.runs}
    titles = {step.key: step.title for step in plan.steps}
    overrides = {run.name: run.overrides for run in plan.runs}
    submission = Submission(target, outputs, sweep, tuple(submitted), runs, titles, elsewhere, overrides)
    save(submission, plan)
    return submission


def steps_at_work(steps: Sequence[Step], store: Store, living: Mapping[str, str]) -> dict[str, str]:
    """Return the steps that a living job will do, with its number.

    A job that needs what nobody makes any more will do nothing: Slurm has not come to cancel it yet.

    Args:
        steps: of a plan, inputs before what uses them.
        store: where they lie.
        living: the jobs that were submitted to make steps, and live.
    """
    complete = {step.key for step in steps if store.status(step).complete}
    found: dict[str, str] = {}
    in_vain: set[str] = set()
    for step in (step for step in steps if step.key in living):
        sources = {source.key for source in step.inputs.values()}
        if not sources <= complete | found.keys():
            in_vain.add(living[step.key])
        elif step.key not in complete or sources & found.keys():
            found[step.key] = living[step.key]
    if not in_vain:
        return found
    return steps_at_work(steps, store, {key: job for key, job in living.items() if job not in in_vain})


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


def _steps_job(job: Job, store: Store, target: Path, config: Config) -> Any:
    from safetax.run.slurm.work import StepsJob

    directories = [str(store.directory(step)) for step in job.steps]
    interpreter = config.runtime.python.get(job.kind)
    return StepsJob(job.kind, directories, interpreter, str(target), config.runtime.slurm.warn_seconds)


def _send_report(
    plan: Plan, outputs: Path, sweep: bool, target: Path, submitted: Sequence[Submitted], elsewhere: Mapping[str, str]
) -> Submitted:
    """Submit the job that begins when all others have ended, well or not."""
    from safetax.run.slurm.work import ReportJob

    config, title = plan.runs[0].config, "results and report"
    needed = resources_for(config.runtime.slurm, min(REPORT_MINUTES, config.runtime.slurm.minutes))
    numbers = dict.fromkeys([*(job.id for job in submitted), *elsewhere.values()])
    work = ReportJob(plan, str(outputs), sweep, str(target))
    number = _send(work, title, needed, f"afterany:{':'.join(numbers)}", target, config)
    return Submitted(number, REPORT, title, (), tuple(range(len(submitted))), vars(needed))


def _send(work: Any, title: str, resources: Resources, dependency: str | None, target: Path, config: Config) -> str:
    """Submit one job and return Slurm's number of it."""
    try:
        import submitit
        from submitit.core.utils import FailedJobError
    except ModuleNotFoundError:
        raise require("submitit") from None
    slurm = config.runtime.slurm
    python = f"{slurm.container} python3" if slurm.container else None
    executor = submitit.SlurmExecutor(target / FOLDER, max_num_timeout=slurm.requeues, python=python)
    wanted = {
        "job_name": f"safetax: {title}"[:60],
        "partition": resources.partition,
        "account": slurm.account,
        "qos": slurm.qos,
        "constraint": slurm.constraint,
        "time": resources.minutes,
        "nodes": resources.nodes,
        "ntasks_per_node": 1,
        "cpus_per_task": resources.cpus,
        "mem": f"{round(resources.memory_gb * 1024)}MB" if resources.memory_gb else None,
        "signal_delay_s": slurm.warn_seconds,
        "dependency": dependency,
        "setup": [*requeue_lines(target), *slurm.setup],
        "stderr_to_stdout": True,
        # Where the first node is done with its turn, the others need not go on to the end of theirs.
        "srun_args": [f"--cpus-per-task={resources.cpus}", "--kill-on-bad-exit=1"],
    }
    executor.update_parameters(
        **{name: value for name, value in wanted.items() if value is not None},
        additional_parameters=options(resources, dependency, slurm),
    )
    try:
        with outside_allocation():
            return executor.submit(work).job_id
    except (FailedJobError, subprocess.CalledProcessError, OSError) as error:
        raise UserError(_refused(str(error), title, resources, slurm)) from None


def options(resources: Resources, dependency: str | None, slurm: Slurm) -> dict[str, Any]:
    """Return the options of sbatch that are said here and not by submitit; True: one without a value."""
    named: dict[str, Any] = {"requeue": True}
    if dependency:
        named["kill-on-invalid-dep"] = "yes"
    if resources.gpus:
        count = f"{slurm.gpu_type}:{resources.gpus}" if slurm.gpu_type else resources.gpus
        named |= {"gres": f"gpu:{count}"} if slurm.gres else {"gpus-per-node": count}
    named |= slurm.options | (slurm.gpu_options if resources.gpus else {})
    return {name: value for name, value in named.items() if value is not False}


def requeue_lines(target: Path) -> list[str]:
    """Return what has a batch script, as it ends, queue the job again where the job itself asks for that."""
    asked = f'{shlex.quote(str(requeue_path(target, "")))}"$SLURM_JOB_ID"'
    queue_again = f'if [ -e {asked} ]; then rm {asked}; scontrol requeue "$SLURM_JOB_ID"; fi'
    return [f"queue_again() {{ {queue_again}; }}", "trap queue_again EXIT"]


@contextlib.contextmanager
def outside_allocation() -> Iterator[None]:
    """Hide the variables of the job that this process may be in: a job that is submitted would take them over."""
    from submitit.helpers import clean_env

    if "SLURM_JOB_ID" not in os.environ:
        yield  # what a user sets for all jobs, such as SBATCH_ACCOUNT, holds
        return
    configuration = {name: value for name, value in os.environ.items() if name == "SLURM_CONF"}
    with clean_env():
        os.environ.update(configuration)
        yield


def _refused(said: str, title: str, resources: Resources, slurm: Slurm) -> str:
    """Return a message for a job that Slurm did not take."""
    lines = [line.split("error:")[-1].strip() for line in said.splitlines() if "error" in line.lower()]
    reason = lines[-1] if lines else said.strip()
    told = f"Slurm refuses the job '{title}': {reason}. Nothing is left submitted."
    key = "partition" if resources.gpus or not slurm.cpu_partition else "cpu_partition"
    partition = f"runtime.slurm.{key}={resources.partition or 'null'}"
    if re.search(r"\baccount\b", reason.lower()):  # and not the policy of its accounting
        return (
            f"{told} runtime.slurm.account={slurm.account or 'null'}, {partition}: set the account to one of yours "
            "that may use the partition; `sacctmgr show associations user=$USER` lists them."
        )
    if "partition" in reason.lower():
        return f"{told} {partition}; the cluster has {', '.join(partitions()) or 'none'}."
    if "limit" in reason.lower():
        return f"{told} Submit fewer runs at once, wait until some have ended, or ask for less in runtime.slurm."
    settings = f"{key}, account, qos, constraint, memory_gb, gpus_per_node, gpu_type, gres, options"
    return f"{told} Check runtime.slurm ({settings})."


def _show(submission: Submission, before: Collection[str], console: Console) -> None:
    """Print the jobs and how to watch them; ``before`` are the numbers of those that were submitted earlier."""
    from safetax.run.session import shown
    from safetax.run.slurm.table import print_submission

    print_submission(submission, console)
    kept = sum(job.id in before for job in submission.jobs)
    told = [f"{len(submission.jobs) - kept} jobs submitted."]
    if kept:
        told.append(f"{kept} that were submitted from here before go on.")
    if submission.elsewhere:
        told.append(f"{len(submission.elsewhere)} steps are made by jobs of other submissions.")
    console.print(
        f"{' '.join(told)} This shell may go.\n"
        f"Watch:   python -m safetax.sweep {shown(submission.target)}\n"
        f"Results: {shown(submission.target)}",
        highlight=False,
        soft_wrap=True,
    )
