"""What was submitted, and what became of it: files beside the results of the run or sweep.

``cluster/jobs.json`` is written when all is submitted; jobs that live when the same is submitted again stay in it. Each
job writes its own ``cluster/state-NUMBER.json``, by Slurm's number of it.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetax.errors import UserError
from safetax.store.manifest import read_json, write_json
from safetax.store.shapes import EACH, NUMBER

if TYPE_CHECKING:
    from safetax.plan.graph import Plan

FOLDER = "cluster"
JOBS = "jobs.json"
PLAN = "plan.pkl"
REPORT = "report"


JOB_SHAPE = {
    "id": str,
    "kind": str,
    "title": str,
    "steps": [str],
    "after": [int],
    "resources": dict,
    "others": [str],
}
SHAPE = {
    "outputs": str,
    "sweep": bool,
    "jobs": [JOB_SHAPE],
    "runs": {EACH: [str]},
    "elsewhere?": {EACH: str},
    "overrides?": {EACH: [str]},
}
"""Shape of the record of a submission."""
PROGRESS_SHAPE = {"done": NUMBER, "total": NUMBER, "unit": str, "began": NUMBER, "began_at?": NUMBER}
STATE_SHAPE = {"state": str, "message?": str, "progress?": PROGRESS_SHAPE}
"""Shape of what a job says of itself."""


@dataclass(frozen=True)
class Submitted:
    """A job that was submitted: Slurm's number of it, its steps' keys, and the places of the jobs that it waits for."""

    id: str
    kind: str
    title: str
    steps: tuple[str, ...]
    after: tuple[int, ...]
    resources: Mapping[str, Any]
    others: tuple[str, ...] = ()
    """Slurm's numbers of jobs of other submissions that it waits for."""


@dataclass(frozen=True)
class Submission:
    """All jobs of one submission; the last is the report's."""

    target: Path
    outputs: Path
    sweep: bool
    jobs: tuple[Submitted, ...]
    runs: Mapping[str, Sequence[str]]
    """The steps of each run by its name."""
    elsewhere: Mapping[str, str]
    """Steps that a job of another submission does: its number, by the step's key."""
    overrides: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What was given on the command line for each run, by its name."""

    def state(self, job: Submitted) -> dict[str, Any]:
        """Return what a job said of itself last; empty: it has not begun."""
        return read_json(state_path(self.target, job.id), STATE_SHAPE) or {}

    def log(self, job: Submitted) -> Path:
        """Return what the job itself printed; its worker's log lies with its first step."""
        return self.target / FOLDER / f"{job.id}_0_log.out"


def state_path(target: Path, job: str) -> Path:
    """Return the file in which a job, by Slurm's number of it, tells what became of it."""
    return target / FOLDER / f"state-{job}.json"


def requeue_path(target: Path, job: str) -> Path:
    """Return the file with which a job asks its batch script to have it queued again."""
    return target / FOLDER / f"requeue-{job}"


def save(submission: Submission, plan: Plan) -> None:
    """Write a submission down, and the plan that it is of."""
    (submission.target / FOLDER / PLAN).write_bytes(pickle.dumps(plan))
    values = asdict(submission) | {"target": str(submission.target), "outputs": str(submission.outputs)}
    write_json(submission.target / FOLDER / JOBS, {"schema": 1, **values})


def load(target: Path) -> Submission:
    """Return the submission of a run or sweep.

    Raises:
        UserError: nothing was submitted from this folder.
    """
    found = find(target)
    if found is None:
        raise UserError(
            f"{target}: nothing was submitted to a cluster from here; name the folder of a run or sweep that "
            "hydra/launcher=slurm printed, such as outputs/sweeps/NAME."
        )
    return found


def find(target: Path) -> Submission | None:
    """Return the submission of a run or sweep, or None.

    Raises:
        UserError: its record cannot be read.
    """
    record = target / FOLDER / JOBS
    found = read_json(record, SHAPE)
    if found is None:
        if record.exists():
            raise UserError(
                f"{record} cannot be read, so which jobs were submitted is not known. Cancel those that still run "
                "(squeue --me), remove the file, and give the command that submitted them again."
            )
        return None
    jobs = tuple(
        Submitted(**{**job, "steps": tuple(job["steps"]), "after": tuple(job["after"]), "others": tuple(job["others"])})
        for job in found["jobs"]
    )
    values = {name: found.get(name, {}) for name in ("runs", "elsewhere", "overrides")}
    return Submission(target, Path(found["outputs"]), found["sweep"], jobs, **values)


def load_plan(target: Path) -> Plan:
    """Return the plan of a submission. Raises UserError where this version of safetax cannot read it."""
    try:
        return pickle.loads((target / FOLDER / PLAN).read_bytes())
    except Exception as error:
        raise UserError(
            f"{target / FOLDER / PLAN} cannot be read by this version of safetax ({type(error).__name__}); give the "
            "command that submitted it again: finished steps are kept."
        ) from None
