"""Trains checkpoints: ``python -m safetax.workers.train DIR..``.

Reads the data step's ``examples.jsonl`` and writes ``model/`` (safetensors and tokenizer) and ``history.jsonl``. With
several devices, or with DeepSpeed ZeRO, torchrun starts the ranks, which inherit the step's lock; this process watches
them and finishes the step.

With ``runtime.nodes`` above 1 the same command is given on every node (see :mod:`safetax.store.nodes`), over one shared
outputs folder. The first node holds the lock and finishes the step; the others wait until it does the step, add their
ranks, and write nothing of their own. The nodes meet at ``runtime.rendezvous``, an address of one of them, best the
first.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from functools import partial

from safetax.errors import UserError
from safetax.store.job import StepJob
from safetax.store.locks import is_locked
from safetax.store.nodes import node_rank, wait_for_first_node
from safetax.store.stop_request import stop_file
from safetax.store.threads import use_threads
from safetax.store.work_loop import run_on_node
from safetax.training.native_code import keep_builds
from safetax.training.torchrun import ERROR, PROGRESS, SUMMARY, native_folder, start_ranks


def work(jobs: Sequence[StepJob]) -> None:
    """Train the steps one after the other."""
    for job in jobs:
        stop_file(job.scratch).unlink(missing_ok=True)  # an earlier attempt was asked, and ended before it could
        if job.runtime["devices"] > 1 or job.runtime["zero"]:
            summary = train_on_ranks(job)
        else:
            from safetax.training.sft import train

            use_threads(job.runtime)
            summary = train(job, partial(_step_done, job))
        from safetax.models.checkpoint import MODEL, verify_saved

        dtype = job.identity["training"]["dtype"]
        verify_saved(job.directory / MODEL, dtype if dtype == "float32" else "bfloat16")
        job.finish(summary)


def _step_done(job: StepJob, done: int, total: int, rate: float) -> None:
    job.progress(done, total, "steps", rate)


def train_on_ranks(job: StepJob) -> dict[str, object]:
    """Train a step on its devices and return its summary.

    Raises:
        UserError: what a rank said of the user's data or settings.
        RuntimeError: a rank failed otherwise; the log has its traceback.
    """
    job.input_manifests()
    failure = job.scratch / ERROR
    failure.unlink(missing_ok=True)
    process = start_ranks(job)
    try:
        while (code := process.poll()) is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
            with contextlib.suppress(FileNotFoundError, ValueError):
                done, total, rate = json.loads((job.scratch / PROGRESS).read_text())
                job.progress(done, total, "steps", rate)
    finally:
        if process.poll() is None:
            process.kill()
    if code:
        if failure.is_file():
            raise UserError(failure.read_text())
        raise RuntimeError(f"a rank of the training ended with exit code {code}")
    keep_builds(native_folder(job))
    return json.loads((job.scratch / SUMMARY).read_text())


def join(jobs: Sequence[StepJob]) -> int:
    """Add this node's ranks to trainings that the first node does, and return the exit code.

    Raises:
        UserError: no first node begins, or the nodes cannot meet.
    """
    code = 0
    for job in jobs:
        if not wait_for_first_node(job.key, partial(is_locked, job.directory), job.is_complete):
            job.events.send("reused", step=job.key)
            continue
        job.events.send("joined", step=job.key, node=node_rank())
        code = start_ranks(job).wait() or code
        keep_builds(native_folder(job))
    return code


if __name__ == "__main__":
    sys.exit(run_on_node(work, "nodes", join, together=False))
