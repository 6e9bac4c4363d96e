"""What runs inside a job: a worker on the steps that were frozen when the job was submitted, and the report at the end.

Submitit calls these objects on the node. On the signal that the job is about to end (its time limit, or a preemption)
it calls ``checkpoint``, puts what that returns in the place of the job, and has Slurm queue the same job again. That
last is left to the batch script, which runs on the node itself: a container may lack Slurm's commands.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetax.errors import StepError
from safetax.run.slurm.executor import again_later, job_number, leave_requeue_to_script
from safetax.run.slurm.record import load, state_path
from safetax.run.worker_process import WorkerProcess
from safetax.store.locks import shared_use
from safetax.store.manifest import LOG, SCRATCH, read_manifest, write_json
from safetax.store.nodes import node_rank
from safetax.store.stop_request import asked_to_stop, stop_file

if TYPE_CHECKING:
    from safetax.plan.graph import Plan

KILL_WAIT = 20.0
"""Seconds for a last checkpoint where Slurm ends a job without a warning: most sites kill after 30."""
TOLD_SECONDS = 2.0
"""How often a job tells how far it is."""
IGNORED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGCONT)
"""Signals that Slurm sends to every process of a job; the workers leave them to the process that started them."""


@dataclass
class StepsJob:
    """Does steps of one kind with one worker.

    Args:
        kind: of the steps.
        directories: their folders.
        interpreter: which Python the worker runs in; None: the job's own.
        target: folder of the run or sweep that it is of.
        warn: seconds between the signal and the end of the job.
    """

    kind: str
    directories: list[str]
    interpreter: str | None
    target: str
    warn: int
    worker: WorkerProcess | None = field(default=None, repr=False)
    began: int = 0
    told: float = 0.0
    first: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __call__(self) -> None:
        """Do the steps.

        Raises:
            StepError: one failed; the job then counts as failed, and Slurm cancels what depends on it.
        """
        if node_rank():
            self._join()
            return
        self._check_shared()
        leave_requeue_to_script(Path(self.target))
        with shared_use(Path(self.directories[0]).parent.parent):
            self._work()

    def _work(self) -> None:
        self.began += 1
        self.note("running")
        signal.signal(signal.SIGTERM, self._end)
        with ignored_by_children():
            self.worker = WorkerProcess(self.interpreter, Path(self.directories[0]) / LOG)
        failures = []
        for event in self.worker.do(self.kind, [Path(directory) for directory in self.directories]):
            if event["event"] == "progress":
                self._progress(event)
            else:
                print(" ".join(f"{key}={value}" for key, value in event.items()), flush=True)
            if event["event"] == "failed":
                failures.append(f"{', '.join(event['steps'])}: {event['message']}")
            if event["event"] == "died":
                failures.append(self._died(event["code"]))
        self.worker.close()
        if failures:
            self.note("failed", message="\n".join(failures))
            raise StepError("\n".join(failures))
        self.note("done")

    def checkpoint(self) -> Any:
        """Have a training write a checkpoint, and return what goes on with it; called as the job is about to end."""
        self._stop(self.warn - 15.0)
        self.note("requeued")
        return again_later(dataclasses.replace(self, worker=None, told=0.0, first={}))

    def _progress(self, event: Mapping[str, Any]) -> None:
        """Tell how far a step is, and when and at what it began, which says how long the rest will take."""
        if event["step"] not in self.first:
            self.first = {event["step"]: (time.time(), event["done"])}
        if time.monotonic() - self.told >= TOLD_SECONDS:
            self.told = time.monotonic()
            since, done = self.first[event["step"]]
            told = {name: event[name] for name in ("step", "done", "total", "unit", "rate")}
            self.note("running", progress={**told, "began": since, "began_at": done})

    def note(self, state: str, **values: Any) -> None:
        """Write down what became of the job, for whoever watches."""
        log = str(Path(self.directories[0]) / LOG)
        write_state(Path(self.target), state, log=log, attempts=self.began, **values)

    def _join(self) -> None:
        """Add this node to the work of the first one, which needs it for a training only."""
        command = [self.interpreter or sys.executable, "-m", f"safetax.workers.{self.kind}", *self.directories]
        with ignored_by_children():
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        if code := process.wait():
            ended = f"the {self.kind} worker on {node_name()} ended with exit code {code}"
            if self.kind == "train":
                self.note("failed", message=ended)  # Slurm ends the first node's part at once
                raise StepError(ended)
            print(f"{ended}; the other nodes go on", flush=True)

    def _check_shared(self) -> None:
        """Raise StepError where this node does not see the folder that the job was submitted from."""
        for directory in map(Path, self.directories):
            if not (directory / "step.json").is_file():
                outputs = directory.parent.parent
                raise StepError(
                    f"runtime.outputs={outputs}: node {node_name()} does not see {directory}; name a folder "
                    "on a file system that all nodes share."
                )

    def _died(self, code: int) -> str:
        if code == -signal.SIGKILL:
            return (
                "its worker was killed, most likely for want of memory: raise runtime.slurm.memory_gb, or lower what "
                "the step takes (runtime.micro_batch, runtime.generate_batch)"
            )
        return f"its worker process ended with code {code}"

    def _end(self, number: int, _: object) -> None:
        """Save what can be saved: Slurm kills the job soon, to queue it again or for good."""
        self._stop(KILL_WAIT)
        self.note("ended", message=f"by {signal.Signals(number).name}")
        raise SystemExit(128 + number)

    def _stop(self, patience: float) -> None:
        """Let a training write a checkpoint, then end the worker; all else is on disk already."""
        worker = self.worker
        if worker is None:
            return
        begun = [Path(directory) for directory in self.directories if (Path(directory) / SCRATCH).is_dir()]
        asked = [each for each in begun if read_manifest(each) is None] if self.kind == "train" else []
        for directory in asked:
            stop_file(directory / SCRATCH).touch()
        until = time.monotonic() + patience
        while any(asked_to_stop(each / SCRATCH) for each in asked) and worker.alive and time.monotonic() < until:
            time.sleep(0.2)
        worker.kill()


@contextmanager
def ignored_by_children() -> Iterator[None]:
    """Ignore Slurm's signals while a process is started: it inherits that, and all that it starts does."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in IGNORED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class ReportJob:
    """Writes results and report, tracks the runs and lets weights go, when all jobs have ended, well or not.

    Args:
        plan: what was submitted.
        outputs: its outputs folder.
        sweep: whether it was a sweep.
        target: folder of the run or sweep.
    """

    plan: Plan
    outputs: str
    sweep: bool
    target: str

    def __call__(self) -> None:
        """Write them."""
        from safetax.run.finish import finish, release_weights
        from safetax.run.slurm.watch import outcome_of
        from safetax.run.terminal import standard_console

        leave_requeue_to_script(Path(self.target))
        write_state(Path(self.target), "running", log=None)
        console, outputs = standard_console(160), Path(self.outputs)
        outcome = outcome_of(self.plan, load(Path(self.target)))
        try:
            with shared_use(outputs):
                finish(self.plan, self.sweep, outputs, outcome, console)
            release_weights(self.plan, outputs, console)
        except Exception as error:
            write_state(Path(self.target), "failed", log=None, message=f"{type(error).__name__}: {error}")
            raise
        write_state(Path(self.target), "done", log=None)

    def checkpoint(self) -> Any:
        """Begin again in the job's next turn."""
        return again_later(self)


def write_state(target: Path, state: str, **values: Any) -> None:
    """Write down what became of the job that this process is in, for whoever watches."""
    about = {"state": state, "job": job_number(), "node": node_name(), "since": time.time()}
    write_json(state_path(target, job_number()), {**about, **values})


def node_name() -> str:
    """Return what the cluster calls this node."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()
