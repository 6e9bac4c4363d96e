"""Trains checkpoints: ``python -m safetax.workers.train DIR..``.

Reads the data step's ``examples.jsonl`` and writes ``model/`` (safetensors and tokenizer) and ``history.jsonl``. With
several devices, or with DeepSpeed ZeRO, torchrun starts the ranks, which inherit the step's lock; this process watches
them and finishes the step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from safetax.errors import UserError
from safetax.manifest import write_json
from safetax.threads import usable_cores, use_threads
from safetax.workers.job import Events, StepJob, run_by_hand

LAUNCH, RANK = "--launch", "--rank"
PARENT = "SAFETAX_PARENT"
"""Environment variable that tells torchrun and the ranks who started them."""


def work(jobs: Sequence[StepJob]) -> None:
    """Train the steps one after the other."""
    for job in jobs:
        if job.runtime["devices"] > 1 or job.runtime["zero"]:
            summary = launch_ranks(job)
        else:
            from safetax.training import train

            summary = train(job, partial(_step_done, job))
        from safetax.checkpoint import MODEL, verify_saved

        verify_saved(job.directory / MODEL)
        job.finish(summary)


def _step_done(job: StepJob, done: int, total: int, rate: float) -> None:
    use_threads(job.runtime.get("threads"))
    job.progress(done, total, "steps", rate)


def launch_ranks(job: StepJob) -> dict[str, object]:
    """Train a step on its devices with torchrun and return its summary.

    Raises:
        UserError: what a rank said of the user's data or settings.
        RuntimeError: a rank failed otherwise; the log has its traceback.
    """
    job.input_manifests()
    report, failure = job.scratch / "progress.json", job.scratch / "error.txt"
    failure.unlink(missing_ok=True)
    devices = job.runtime["devices"]
    threads = job.runtime.get("threads") or max(1, usable_cores() // devices)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), PARENT: str(os.getpid())}
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "safetax.workers.train", LAUNCH, "--standalone", f"--nproc-per-node={devices}"]
    command += ["-m", "safetax.workers.train", RANK, str(job.directory.absolute())]
    process = subprocess.Popen(command, env=environment, pass_fds=(job.lock,), stdin=subprocess.DEVNULL)
    watching = threading.Event()

    def watch() -> None:
        while not watching.wait(0.5):
            try:
                done, total, rate = json.loads(report.read_text())
            except (FileNotFoundError, ValueError):
                continue
            job.progress(done, total, "steps", rate)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        code = process.wait()
    finally:
        watching.set()
        thread.join()
        if process.poll() is None:
            process.kill()
    if code:
        if failure.is_file():
            raise UserError(failure.read_text())
        raise RuntimeError(f"a rank of the training ended with exit code {code}")
    return json.loads((job.scratch / "summary.json").read_text())


def run_rank(directory: Path) -> int:
    """Do one rank's part of a training; returns the exit code."""
    end_with_parent()
    job = StepJob(directory, Events(sys.stderr, as_json=False))
    first = os.environ.get("RANK", "0") == "0"
    prepare_backend(job.runtime["zero"])
    from safetax.training import train

    def report(done: int, total: int, rate: float) -> None:
        if first:
            write_json(job.scratch / "progress.json", [done, total, rate])

    try:
        summary = train(job, report)
    except UserError as error:
        if first:
            (job.scratch / "error.txt").write_text(str(error))
        return 1
    if first:
        write_json(job.scratch / "summary.json", summary)
    return 0


def prepare_backend(zero: int) -> None:
    """Set what DeepSpeed and accelerate need where there is no GPU; must precede the Trainer's arguments."""
    import torch

    if torch.cuda.is_available():
        return
    if zero:
        os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
        os.environ["DS_ACCELERATOR"] = "cpu"
    from accelerate import PartialState

    # With cpu=True accelerate does not look for DeepSpeed.
    PartialState(backend="gloo") if zero else PartialState(cpu=True, backend="gloo")


def end_with_parent() -> None:
    """Ask the kernel to end this process when the one that started it dies (Linux)."""
    if sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        if os.getppid() != int(os.environ[PARENT]):  # it died before the kernel was asked
            os._exit(1)


def launch(arguments: Sequence[str]) -> int:
    """Be torchrun, but end with the worker: the ranks end with torchrun, so none goes on when the worker is killed."""
    end_with_parent()
    os.environ[PARENT] = str(os.getpid())
    from torch.distributed.run import main

    main(list(arguments))
    return 0


def main(arguments: Sequence[str]) -> int:
    """Do a step, or a part of one; returns the exit code."""
    if arguments[:1] == [LAUNCH]:
        return launch(arguments[1:])
    if arguments[:1] == [RANK]:
        return run_rank(Path(arguments[1]))
    return run_by_hand(work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
