"""One job through submitit: handed to Slurm with what it asks for, and queued again when its turn ends."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetax.config.runtime import Slurm
from safetax.config.schema import Config
from safetax.errors import UserError, require
from safetax.run.slurm.jobs import Resources
from safetax.run.slurm.record import FOLDER, requeue_path
from safetax.store.slurm import partitions


def send(work: Any, title: str, resources: Resources, dependency: str | None, target: Path, config: Config) -> str:
    """Submit one job and return Slurm's number of it.

    Args:
        work: what is called on the node.
        title: what it does, in words.
        resources: what it asks for.
        dependency: of sbatch: which jobs are to end before it begins.
        target: folder of the run or sweep.
        config: of the run.

    Raises:
        UserError: submitit is not installed, or Slurm refuses the job.
    """
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


def again_later(work: Any) -> Any:
    """Return what submitit takes for the order to queue a job again with other work."""
    from submitit.helpers import DelayedSubmission

    return DelayedSubmission(work)


def leave_requeue_to_script(target: Path) -> None:
    """Have submitit leave a file where it would have Slurm queue the job again: the batch script looks for it."""
    from submitit.slurm.slurm import SlurmJobEnvironment

    asked = requeue_path(target, job_number())
    asked.unlink(missing_ok=True)

    def ask(self: SlurmJobEnvironment, countdown: int) -> None:
        asked.touch()

    SlurmJobEnvironment._requeue = ask


def job_number() -> str:
    """Return Slurm's number of the job that this process is in."""
    return os.environ["SLURM_JOB_ID"]
