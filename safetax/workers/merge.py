"""Interpolates between an LRM and a model aligned from it: ``python -m safetax.workers.merge DIR..``.

Writes ``model/``, which is like a train step's: safetensors, configuration and tokenizer. The weights are
(1 - interpolation) x the LRM's + interpolation x the aligned model's.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from safetax.models.checkpoint import MODEL, source_of, verify_saved
from safetax.store.job import StepJob
from safetax.store.threads import use_threads
from safetax.store.work_loop import run_by_hand


def work(jobs: Sequence[StepJob]) -> None:
    """Make the checkpoints of the steps, one after the other."""
    from safetax.models.interpolation import interpolate

    for job in jobs:
        use_threads(job.runtime)

        def report(done: int, total: int, job: StepJob = job) -> None:
            job.progress(round(done / 1e6, 1), round(total / 1e6, 1), "MB")

        share = job.identity["interpolation"]
        target = job.directory / MODEL
        tensors, parameters = interpolate(lrm_folder(job), job.inputs["model"] / MODEL, share, target, report)
        verify_saved(target)
        job.finish({"interpolation": share, "tensors": tensors, "parameters": parameters})


def lrm_folder(job: StepJob) -> Path:
    """Return the folder of the LRM's checkpoint: a train step's, a local one, or the hub's in its cache."""
    source, revision = source_of(job.identity, {"model": job.inputs["lrm"]} if "lrm" in job.inputs else {})
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    from safetax.data.hub import download

    return download(source, revision)


if __name__ == "__main__":
    sys.exit(run_by_hand(work))
