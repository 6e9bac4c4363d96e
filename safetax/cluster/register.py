"""Which job of the cluster was submitted to make a step: files below the outputs folder that all submissions share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from safetax.cluster.slurm import queue
from safetax.manifest import read_json, write_json

FOLDER = "cluster"


def note(outputs: Path, key: str, job: str) -> None:
    """Note down which job will make a step."""
    write_json(_file(outputs, key), {"job": job})


def living(outputs: Path, keys: Iterable[str] | None = None) -> dict[str, str]:
    """Return the steps that a living job was submitted for, with its number.

    Args:
        outputs: the outputs folder.
        keys: of the steps that are asked about; None: all.

    Raises:
        UserError: jobs were submitted, and Slurm does not say what became of them.
    """
    files = _files(outputs) if keys is None else {key: _file(outputs, key) for key in keys}
    noted = {key: entry["job"] for key, file in files.items() if (entry := read_json(file))}
    if not noted:
        return {}
    alive = {number for number, job in queue().items() if job.living}
    return {key: job for key, job in noted.items() if job in alive}


def _file(outputs: Path, key: str) -> Path:
    return outputs / FOLDER / "steps" / f"{key.replace('/', '-')}.json"


def _files(outputs: Path) -> dict[str, Path]:
    return {path.stem.replace("-", "/", 1): path for path in (outputs / FOLDER / "steps").glob("*-*.json")}
