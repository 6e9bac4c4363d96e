"""The ranks of a training on this node, started by torchrun: ``python -m safetax.training.torchrun ARGUMENTS..``.

The module is torchrun's own, but ends with the worker that started it: its ranks end with it, so that none goes on when
the worker is killed. With ``runtime.nodes`` above 1 the nodes meet at ``runtime.rendezvous``.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from safetax.errors import UserError
from safetax.store.child_process import PARENT, clean_environment, end_with_parent
from safetax.store.job import StepJob
from safetax.store.nodes import NODE_TIMEOUT, node_rank
from safetax.store.threads import threads_of
from safetax.training.native_code import prepare_build_folder

LAUNCHED = "SAFETAX_LAUNCHED"
"""Environment variable with the time at which a worker started torchrun, in seconds since 1970."""
PROGRESS, SUMMARY, ERROR = "progress.json", "summary.json", "error.txt"
"""Files that the first rank leaves in the scratch folder for the worker."""
SIGNALS = ("--signals-to-handle=SIGINT,SIGHUP,SIGQUIT",)
"""Slurm sends SIGTERM to every process of a job that is to stop; what follows from it is for the worker to say."""


def start_ranks(job: StepJob) -> subprocess.Popen[bytes]:
    """Start this node's ranks of a training; they inherit the step's lock.

    Raises:
        UserError: nothing says where the nodes meet.
    """
    command = torchrun_command(job)
    threads = threads_of(job.runtime, ranks_of_node(job))
    environment = clean_environment() | {"OMP_NUM_THREADS": str(threads), LAUNCHED: repr(time.time())}
    environment |= prepare_build_folder(native_folder(job))
    held = (job.lock,) if job.lock >= 0 else ()
    return subprocess.Popen(command, env=environment, pass_fds=held, stdin=subprocess.DEVNULL)


def torchrun_command(job: StepJob) -> list[str]:
    """Return the command that starts this node's ranks of a training.

    Raises:
        UserError: nothing says where the nodes meet.
    """
    here, nodes = ranks_of_node(job), job.runtime["nodes"]
    rendezvous = job.runtime["rendezvous"] or slurm_rendezvous()
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
    command = [sys.executable, "-m", "safetax.training.torchrun", *meeting, *SIGNALS, f"--nproc-per-node={here}"]
    return [*command, "-m", "safetax.training.rank", str(job.directory.absolute())]


def ranks_of_node(job: StepJob) -> int:
    """Return the number of ranks of a training on each of its nodes."""
    return job.runtime["devices"] // job.runtime["nodes"]


def slurm_rendezvous() -> str | None:
    """Return the ``host:port`` where the nodes of this Slurm job meet: on the first one, at a port of the job's own."""
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


def native_folder(job: StepJob) -> Path:
    """Return where this node's ranks compile native code."""
    return job.scratch / f"native-{node_rank()}"


def main(arguments: Sequence[str]) -> None:
    """Be torchrun, but end with the process that started this one."""
    end_with_parent()
    os.environ[PARENT] = str(os.getpid())
    from torch.distributed.run import main as torchrun

    torchrun(list(arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
