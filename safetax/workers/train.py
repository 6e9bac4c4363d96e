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

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from safetax.errors import UserError
from safetax.store.child_process import PARENT, clean_environment, end_with_parent
from safetax.store.events import Events
from safetax.store.job import StepJob
from safetax.store.locks import is_locked
from safetax.store.manifest import write_json
from safetax.store.nodes import NODE_TIMEOUT, node_rank
from safetax.store.stop_request import stop_file
from safetax.store.threads import usable_cores, use_threads
from safetax.store.work_loop import run_by_hand, work_on
from safetax.training import native_code

LAUNCH, RANK = "--launch", "--rank"
LAUNCHED = "SAFETAX_LAUNCHED"
"""Environment variable with the time at which a worker called for its ranks, in seconds since 1970."""
SIGNALS = ("--signals-to-handle=SIGINT,SIGHUP,SIGQUIT",)
"""Slurm sends SIGTERM to every process of a job that is to stop; what follows from it is for the worker to say."""


def work(jobs: Sequence[StepJob]) -> None:
    """Train the steps one after the other."""
    for job in jobs:
        stop_file(job.scratch).unlink(missing_ok=True)  # an earlier attempt was asked, and ended before it could
        if job.runtime["devices"] > 1 or job.runtime["zero"]:
            summary = launch_ranks(job)
        else:
            from safetax.training.sft import train

            summary = train(job, partial(_step_done, job))
        from safetax.models.checkpoint import MODEL, verify_saved

        dtype = job.identity["training"]["dtype"]
        verify_saved(job.directory / MODEL, dtype if dtype == "float32" else "bfloat16")
        job.finish(summary)


def _step_done(job: StepJob, done: int, total: int, rate: float) -> None:
    use_threads(job.runtime.get("threads"))
    job.progress(done, total, "steps", rate)


def launch_command(job: StepJob) -> list[str]:
    """Return the command that starts this node's ranks of a training.

    Raises:
        UserError: the devices cannot be spread over the nodes, or nothing says where the nodes meet.
    """
    devices, nodes = job.runtime["devices"], job.runtime["nodes"]
    rendezvous = job.runtime["rendezvous"] or slurm_rendezvous()
    here, rest = divmod(devices, nodes)
    if rest:
        raise UserError(
            f"runtime.devices={devices} cannot be spread over runtime.nodes={nodes}; allowed are multiples of {nodes}."
        )
    if nodes == 1:
        meeting = ["--standalone"]
    else:
        host, separator, port = (rendezvous or "").rpartition(":")
        if not separator or not host or not port.isdigit():
            raise UserError(
                f"runtime.rendezvous={rendezvous} is no address that {nodes} nodes can meet at; set it to host:port "
                "of the first node, such as node01:29500."
            )
        meeting = [f"--nnodes={nodes}", "--rdzv-backend=c10d", f"--rdzv-endpoint={rendezvous}"]
        meeting += [f"--rdzv-id={job.frozen['fingerprint']}", f"--rdzv-conf=join_timeout={NODE_TIMEOUT:.0f}"]
        # What the node calls itself need not be a name that the others can resolve.
        meeting += [f"--local-addr={_address_towards(host, int(port))}"]
    command = [sys.executable, "-m", "safetax.workers.train", LAUNCH, *meeting, *SIGNALS, f"--nproc-per-node={here}"]
    return [*command, "-m", "safetax.workers.train", RANK, str(job.directory.absolute())]


def slurm_rendezvous() -> str | None:
    """Return where the nodes of this Slurm job can meet: its first node, on a port that goes by the job's number."""
    host, job = os.environ.get("SLURM_LAUNCH_NODE_IPADDR"), os.environ.get("SLURM_JOB_ID")
    return f"{host}:{20000 + int(job) % 20000}" if host and job else None


def _address_towards(host: str, port: int) -> str:
    """Return this machine's own address on the way to another."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)  # sends nothing
            return str(probe.getsockname()[0])
    except OSError as error:
        raise UserError(
            f"runtime.rendezvous={host}:{port} cannot be reached ({error}); name a host that all nodes know."
        ) from None


def start_ranks(job: StepJob) -> subprocess.Popen[bytes]:
    """Start this node's ranks of a training with torchrun."""
    command = launch_command(job)
    here = job.runtime["devices"] // job.runtime["nodes"]
    threads = job.runtime.get("threads") or max(1, usable_cores() // here)
    environment = clean_environment() | {"OMP_NUM_THREADS": str(threads), LAUNCHED: repr(time.time())}
    environment |= native_code.begin(native_folder(job))
    held = (job.lock,) if job.lock >= 0 else ()
    return subprocess.Popen(command, env=environment, pass_fds=held, stdin=subprocess.DEVNULL)


def native_folder(job: StepJob) -> Path:
    """Return where this node's ranks compile native code."""
    return job.scratch / f"native-{node_rank()}"


def launch_ranks(job: StepJob) -> dict[str, object]:
    """Train a step on its devices with torchrun and return its summary.

    Raises:
        UserError: what a rank said of the user's data or settings.
        RuntimeError: a rank failed otherwise; the log has its traceback.
    """
    job.input_manifests()
    report, failure = job.scratch / "progress.json", job.scratch / "error.txt"
    failure.unlink(missing_ok=True)
    process = start_ranks(job)
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
    native_code.keep(native_folder(job))
    return json.loads((job.scratch / "summary.json").read_text())


def join(directory: Path) -> int:
    """Add this node's ranks to a training that the first node does; returns the exit code."""
    job = StepJob(directory, Events(sys.stdout, as_json=False))
    deadline = time.monotonic() + NODE_TIMEOUT
    while not is_locked(directory):
        if job.is_complete():
            job.events.send("reused", step=job.key)
            return 0
        if time.monotonic() > deadline:
            print(f"Error: no first node began {job.key} in {NODE_TIMEOUT:.0f} seconds.", file=sys.stderr)
            return 2
        time.sleep(0.5)
    job.events.send("joined", step=job.key, node=node_rank())
    try:
        code = start_ranks(job).wait()
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    native_code.keep(native_folder(job))
    return code


def run_rank(directory: Path) -> int:
    """Do one rank's part of a training; returns the exit code."""
    end_with_parent()
    job = StepJob(directory, Events(sys.stderr, as_json=False))
    job.started -= max(0.0, time.time() - float(os.environ[LAUNCHED]))
    first = os.environ.get("RANK", "0") == "0"
    prepare_backend(job.runtime["zero"])
    from safetax.training.sft import train

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


def end_at_once(code: int) -> NoReturn:
    """End this process without what libraries do at exit: an abort there would fail a training that is done."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


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
        end_at_once(run_rank(Path(arguments[1])))
    if not node_rank():
        return run_by_hand(work)
    codes = []
    for directory in [Path(argument).absolute() for argument in arguments]:
        events = Events(sys.stdout, as_json=False)
        shared = StepJob(directory, events).runtime["nodes"] > 1
        codes.append(join(directory) if shared else work_on([directory], work, events))
    return max(codes, default=2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
