"""Which job of the cluster was submitted to make a step: files below the outputs folder that all submissions share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from safetax.errors import UserError
from safetax.store.locks import locked
from safetax.store.manifest import read_json, write_json
from safetax.store.slurm import queue

FOLDER = "cluster"


def claim(outputs: Path, key: str, job: str) -> None:
    """Claim a step for the job of the cluster that will make it."""
    write_json(_file(outputs, key), {"job": job})


def submitting(outputs: Path) -> AbstractContextManager[int]:
    """Keep others from submitting jobs that count on steps of an outputs folder, or make them."""
    return locked(outputs / FOLDER / "submission")


def claimed_by(outputs: Path, keys: Iterable[str]) -> dict[str, str]:
    """Return the numbers of the jobs that were submitted last to make these steps, by the steps' keys."""
    return _read({key: _file(outputs, key) for key in keys})


def living(outputs: Path) -> dict[str, str]:
    """Return the steps that a living job was submitted for, with its number.

    Raises:
        UserError: jobs were submitted, and Slurm does not say what became of them.
    """
    makers = _read({path.stem.replace("-", "/", 1): path for path in (outputs / FOLDER / "steps").glob("*-*.json")})
    if not makers:
        return {}
    alive = {number for number, job in queue().items() if job.living}
    return {key: job for key, job in makers.items() if job in alive}


def blockers(outputs: Path) -> str | None:
    """Return why jobs may still need what an outputs folder holds, or None; they may where Slurm does not answer."""
    try:
        jobs = sorted(set(living(outputs).values()))
    except UserError as error:
        return f"jobs were submitted there, and {error}"
    return f"{len(jobs)} jobs of the cluster, such as {jobs[0]}, may need them" if jobs else None


def _file(outputs: Path, key: str) -> Path:
    return outputs / FOLDER / "steps" / f"{key.replace('/', '-')}.json"


def _read(files: Mapping[str, Path]) -> dict[str, str]:
    return {key: entry["job"] for key, file in files.items() if (entry := read_json(file, {"job": str}))}
