"""Submits the jobs of a plan to Slurm, with submitit and Slurm's own dependencies.

All that a job works from is frozen on disk when it is submitted. A step that a living job of another submission will
do is not submitted again: what needs it waits for that job.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetax.cluster.jobs import Job, Resources, jobs_of
from safetax.cluster.record import FOLDER, REPORT, Submission, Submitted, save, state_path
from safetax.cluster.register import living, note
from safetax.cluster.slurm import cancel, check_slurm, partitions
from safetax.config.schema import Config
from safetax.errors import UserError, require
from safetax.locks import locked
from safetax.plan import Plan
from safetax.run_record import sweep_folder
from safetax.step import Step
from safetax.store import Store

if TYPE_CHECKING:
    from rich.console import Console

REPORT_MINUTES = 120


def submit(plan: Plan, outputs: Path, sweep: bool, console: Console) -> Path | None:
    """Submit what is to be done of a plan, and return the folder where it can be watched; None: all is done.

    Raises:
        UserError: there is no Slurm, submitit is not installed, or Slurm refuses a job.
    """
    check_slurm()
    target = sweep_folder(plan, outputs) if sweep else outputs / "runs" / plan.runs[0].name
    with locked(outputs / FOLDER / "submission"):  # two who submit at once must see each other's jobs
        submission = _submit(plan, outputs, target, sweep)
    if submission is not None:
        _show(submission, console)
        return target
    return None


def cluster_jobs(plan: Plan, store: Store, elsewhere: Mapping[str, str]) -> list[Job]:
    """Return the jobs for what is not done and done by nobody else."""
    config_of = {step.key: run.config for run in reversed(plan.runs) for step in run.steps}
    moved: set[str] = set()
    for step in plan.steps:
        if not store.status(step).complete or any(source.key in moved for source in step.inputs.values()):
            moved.add(step.key)
    return jobs_of(plan.steps, config_of, lambda step: step.key in moved and step.key not in elsewhere)


def _submit(plan: Plan, outputs: Path, target: Path, sweep: bool) -> Submission | None:
    config = plan.runs[0].config
    store = Store(outputs, config.runtime.retry_errors)
    elsewhere = _elsewhere(plan.steps, store)
    jobs = cluster_jobs(plan, store, elsewhere)
    if not jobs and not elsewhere:
        return None
    (target / FOLDER).mkdir(parents=True, exist_ok=True)
    for old in (target / FOLDER).glob("state-*.json"):
        old.unlink()
    submitted: list[Submitted] = []
    numbers: list[str] = []
    try:
        for index, job in enumerate(jobs):
            for step in job.steps:
                store.freeze(step)
            sources = {source.key for step in job.steps for source in step.inputs.values()}
            others = tuple(sorted({elsewhere[key] for key in sources if key in elsewhere}))
            waits = [*(numbers[place] for place in job.after), *others]
            dependency = f"afterok:{':'.join(waits)}" if waits else None
            work = _steps_job(job, store, state_path(target, index), config)
            numbers.append(_send(work, job.title, job.resources, dependency, target, config))
            for step in job.steps:
                note(outputs, step.key, numbers[-1])
            steps = tuple(step.key for step in job.steps)
            submitted.append(Submitted(numbers[-1], job.kind, job.title, steps, job.after, vars(job.resources), others))
        state = state_path(target, len(jobs))
        number, resources = _send_report(plan, outputs, sweep, state, [*numbers, *elsewhere.values()], target)
        numbers.append(number)
        after = tuple(range(len(jobs)))
        submitted.append(Submitted(number, REPORT, "results and report", (), after, vars(resources)))
    except BaseException:
        cancel(numbers)  # a part of the graph alone would be of use to nobody
        raise
    runs = {run.name: [step.key for step in run.steps] for run in plan.runs}
    titles = {step.key: step.title for step in plan.steps}
    submission = Submission(target, outputs, sweep, tuple(submitted), runs, titles, elsewhere)
    save(submission, plan)
    return submission


def _elsewhere(steps: Sequence[Step], store: Store) -> dict[str, str]:
    """Return the steps that a living job of another submission will do, with its number."""
    alive = living(store.root, [step.key for step in steps])
    return {step.key: alive[step.key] for step in steps if step.key in alive and not store.status(step).complete}


def _steps_job(job: Job, store: Store, state: Path, config: Config) -> Any:
    from safetax.cluster.work import StepsJob

    directories = [str(store.directory(step)) for step in job.steps]
    interpreter = config.runtime.python.get(job.kind)
    return StepsJob(job.kind, directories, interpreter, str(state), config.runtime.slurm.warn_seconds)


def _send_report(
    plan: Plan, outputs: Path, sweep: bool, state: Path, after: Sequence[str], target: Path
) -> tuple[str, Resources]:
    from safetax.cluster.work import ReportJob

    config = plan.runs[0].config
    slurm = config.runtime.slurm
    minutes = min(REPORT_MINUTES, slurm.minutes)
    resources = Resources(1, 0, slurm.cpus, slurm.memory_gb, minutes, slurm.cpu_partition or slurm.partition)
    work = ReportJob(plan, str(outputs), sweep, str(state))
    dependency = f"afterany:{':'.join(dict.fromkeys(after))}"
    return _send(work, "results and report", resources, dependency, target, config), resources


def _send(work: Any, title: str, resources: Resources, dependency: str | None, target: Path, config: Config) -> str:
    """Submit one job and return Slurm's number of it."""
    try:
        import submitit
        from submitit.core.utils import FailedJobError
    except ModuleNotFoundError:
        raise require("submitit", "safetax[slurm]") from None
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
        "gpus_per_node": resources.gpus or None,
        "mem": f"{round(resources.memory_gb * 1024)}MB" if resources.memory_gb else None,
        "signal_delay_s": slurm.warn_seconds,
        "dependency": dependency,
        "setup": slurm.setup or None,
        "stderr_to_stdout": True,
        "srun_args": [f"--cpus-per-task={resources.cpus}"],
    }
    others = {"requeue": True, **({"kill-on-invalid-dep": "yes"} if dependency else {}), **slurm.options}
    executor.update_parameters(
        **{name: value for name, value in wanted.items() if value is not None}, additional_parameters=others
    )
    try:
        return executor.submit(work).job_id
    except (FailedJobError, subprocess.CalledProcessError, OSError) as error:
        raise UserError(_refused(str(error), title, slurm.partition)) from None


def _refused(said: str, title: str, partition: str | None) -> str:
    """Return a message for a job that Slurm did not take."""
    lines = [line.split("error:")[-1].strip() for line in said.splitlines() if "error" in line.lower()]
    reason = lines[-1] if lines else said.strip()
    told = f"Slurm refuses the job '{title}': {reason}. Nothing is left submitted."
    if "partition" in reason.lower():
        return f"{told} runtime.slurm.partition={partition}; the cluster has {', '.join(partitions()) or 'none'}."
    if "limit" in reason.lower():
        return f"{told} Submit fewer runs at once, wait until some have ended, or ask for less in runtime.slurm."
    return f"{told} Check runtime.slurm (partition, account, qos, constraint, memory_gb, gpus_per_node, options)."


def _show(submission: Submission, console: Console) -> None:
    """Print the jobs and how to watch them."""
    from safetax.cluster.table import print_submission
    from safetax.session import shown

    print_submission(submission, console)
    others = f" {len(submission.elsewhere)} steps are made by jobs of other submissions." * bool(submission.elsewhere)
    console.print(
        f"{len(submission.jobs)} jobs submitted.{others} This shell may go.\n"
        f"Watch:   python -m safetax.sweep {shown(submission.target)}\n"
        f"Results: {shown(submission.target)}",
        highlight=False,
        soft_wrap=True,
    )
