"""Asking Slurm: which jobs live, why one waits; and cancelling."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from safetax.errors import UserError

PATIENCE = 60.0
"""Seconds that a command of Slurm's may take."""
ENDING = 60.0
"""Seconds to wait for jobs that are just ending: some are queued again."""
BETWEEN_LOOKS = 2.0
LIVING = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "STOPPED")


@dataclass(frozen=True)
class Queued:
    """A job as Slurm tells of it."""

    id: str
    state: str
    reason: str
    node: str
    elapsed: str

    @property
    def living(self) -> bool:
        """Whether it runs, or still may."""
        return self.state in LIVING and not (self.state == "PENDING" and self.reason == "DependencyNeverSatisfied")


def check_slurm() -> None:
    """Raise UserError where this machine has no Slurm to submit to."""
    missing = [name for name in ("sbatch", "srun", "squeue", "scancel") if shutil.which(name) is None]
    if missing:
        raise UserError(
            f"hydra/launcher=slurm: there is no {missing[0]} on the PATH. Submit from a login node of the cluster "
            "(some sites need `module load slurm`), or run here: hydra/launcher=local."
        )


def queue() -> dict[str, Queued]:
    """Return this user's jobs that Slurm still knows in its queue, by number.

    Raises:
        UserError: the controller does not answer.
    """
    told = _ask(["squeue", "--me", "--noheader", "--states=all", "--format=%i|%T|%r|%N|%M"])
    rows = [line.strip().split("|") for line in told.splitlines() if line.count("|") == 4]
    return {row[0]: Queued(*row) for row in rows}


def living_among(numbers: Iterable[str], tell: Callable[[str], None]) -> set[str]:
    """Return those of the jobs that run or still may, when none of them is just ending any more.

    One that does not come to its end in a minute counts as ended.

    Args:
        numbers: of the jobs.
        tell: called with a line for the user before waiting.

    Raises:
        UserError: the controller does not answer.
    """
    asked, said = set(numbers), False
    until = time.monotonic() + ENDING
    while asked:
        jobs = [job for number, job in queue().items() if number in asked]
        ending = [job.id for job in jobs if job.state == "COMPLETING"]
        if not ending or time.monotonic() > until:
            return {job.id for job in jobs if job.living and job.id not in ending}
        if not said:
            tell(f"Waiting up to {ENDING:.0f} s for jobs that are just ending: {', '.join(ending)}.")
            said = True
        time.sleep(BETWEEN_LOOKS)
    return set()


def job_has_ended(job: str) -> bool:
    """Whether Slurm knows for sure that a job, of this user or another, runs no more; False where it is not known."""
    try:
        told = _ask(["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T"])
    except UserError as error:
        return "Invalid job id" in str(error)
    return told.strip() not in ("RUNNING", "COMPLETING", "SUSPENDED", "CONFIGURING")


def cancel(jobs: Iterable[str]) -> None:
    """Cancel jobs; those that have ended already are left alone."""
    numbers = list(jobs)
    if numbers:
        _ask(["scancel", "--quiet", *numbers])


def partitions() -> list[str]:
    """Return the names of the cluster's partitions; none where they cannot be had."""
    try:
        return sorted({name.rstrip("*") for name in _ask(["sinfo", "--noheader", "--format=%P"]).split()})
    except UserError:
        return []


def _ask(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"Slurm cannot be asked ({' '.join(command[:1])}: {error}); is its controller up?") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(f"Slurm does not answer ({' '.join(command[:1])}: {said[-1]}); is its controller up?")
    return done.stdout
