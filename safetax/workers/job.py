"""What every worker shares: reading a frozen step folder, reporting progress, finishing with a manifest."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

from safetax.errors import UserError
from safetax.locks import locked
from safetax.manifest import (
    MANIFEST,
    SCRATCH,
    STEP,
    clear,
    damage,
    describe_outputs,
    outputs_digest,
    read_json,
    write_json,
)

LIBRARIES = ("safetax", "torch", "transformers", "deepspeed", "datasets", "lm_eval", "vllm", "tokenizers")


@dataclass
class Events:
    """Where a worker reports to: JSON lines for the parent process, or plain lines for a person."""

    stream: TextIO
    as_json: bool
    _last: dict[str, float] = field(default_factory=dict)

    def send(self, event: str, **values: Any) -> None:
        """Report an event."""
        if self.as_json:
            self.stream.write(json.dumps({"event": event, **values}) + "\n")
        else:
            self.stream.write(" ".join([event, *(f"{key}={value}" for key, value in values.items())]) + "\n")
        self.stream.flush()

    def progress(self, step: str, done: float, total: float, unit: str, rate: float | None = None) -> None:
        """Report how far a step is; at most four times a second, the last always."""
        now = time.monotonic()
        if done < total and now - self._last.get(step, 0.0) < 0.25:
            return
        self._last[step] = now
        self.send("progress", step=step, done=done, total=total, unit=unit, rate=rate)


@dataclass
class StepJob:
    """One step that a worker is to do: its frozen description and its folder."""

    directory: Path
    events: Events
    lock: int = -1
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Read the frozen description.

        Raises:
            UserError: the folder is no step.
        """
        frozen = read_json(self.directory / STEP)
        if frozen is None:
            raise UserError(f"{self.directory} is no step: it has no readable {STEP}.")
        self.kind: str = frozen["kind"]
        self.frozen = frozen
        self.identity: dict[str, Any] = frozen["identity"]
        self.runtime: dict[str, Any] = read_json(self.directory / "runtime.json") or {}
        root = self.directory.absolute().parent.parent
        self.inputs: dict[str, Path] = {name: root / key for name, key in frozen["inputs"].items()}

    @property
    def key(self) -> str:
        """``kind/fingerprint``."""
        return f"{self.kind}/{self.frozen['fingerprint']}"

    @property
    def scratch(self) -> Path:
        """Folder for what only the unfinished step needs; gone when it is finished."""
        path = self.directory / SCRATCH
        path.mkdir(exist_ok=True)
        return path

    def progress(self, done: float, total: float, unit: str, rate: float | None = None) -> None:
        """Report how far the step is."""
        self.events.progress(self.key, done, total, unit, rate)

    def input_manifests(self) -> dict[str, dict[str, Any]]:
        """Return the manifests of the inputs.

        Raises:
            UserError: an input is not finished.
        """
        manifests = {}
        for name, path in self.inputs.items():
            manifest = read_json(path / MANIFEST)
            if manifest is None:
                raise UserError(f"{self.directory}: its input {name} ({path}) is not finished; run it first.")
            manifests[name] = manifest
        return manifests

    def is_complete(self) -> bool:
        """Whether another process finished the step meanwhile, from the inputs as they are now."""
        manifest = read_json(self.directory / MANIFEST)
        if manifest is None or damage(self.directory, manifest):
            return False
        sources = self.input_manifests()
        return all(outputs_digest(sources[name]) == entry["outputs"] for name, entry in manifest["inputs"].items())

    def finish(self, summary: dict[str, Any]) -> None:
        """Hash the outputs and write the manifest: the step is complete from then on."""
        import shutil

        shutil.rmtree(self.directory / SCRATCH, ignore_errors=True)
        sources = self.input_manifests()
        seconds = time.monotonic() - self.started
        manifest = {
            **self.frozen,
            "inputs": {
                name: {"step": key, "outputs": outputs_digest(sources[name])}
                for name, key in self.frozen["inputs"].items()
            },
            "outputs": describe_outputs(self.directory),
            "summary": summary,
            "provenance": {
                "seconds": round(seconds, 3),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "host": socket.gethostname(),
                "python": platform.python_version(),
                "versions": versions(),
                "runtime": self.runtime,
            },
        }
        write_json(self.directory / MANIFEST, manifest)
        self.events.send("finished", step=self.key, seconds=round(seconds, 3), summary=summary)


def versions() -> dict[str, str]:
    """Return the versions of the libraries that results depend on."""
    found = {}
    for library in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[library] = version(library)
    return found


Work = Callable[[Sequence[StepJob]], None]


@contextlib.contextmanager
def _opened(directories: Sequence[Path], events: Events) -> Iterator[list[StepJob]]:
    """Yield the steps that still need work, locked; in one order for all processes, so that none waits in a circle."""
    with contextlib.ExitStack() as stack:
        jobs = []
        for directory in sorted(directories):
            job = StepJob(directory, events)

            def waiting(owner: str, job: StepJob = job) -> None:
                events.send("waiting", step=job.key, owner=owner)

            job.lock = stack.enter_context(locked(directory, waiting))
            if job.is_complete():
                events.send("reused", step=job.key)
                continue
            manifest = read_json(directory / MANIFEST)
            if manifest is not None or (directory / MANIFEST).exists():
                clear(directory)
            jobs.append(job)
        yield jobs


def work_on(directories: Sequence[Path], work: Work, events: Events) -> None:
    """Do the steps in the folders with a worker's function; a step that is complete by now is left alone."""
    with _opened(directories, events) as jobs:
        if jobs:
            for job in jobs:
                events.send("started", step=job.key)
                job.started = time.monotonic()
            work(jobs)


def set_threads(jobs: Sequence[StepJob]) -> None:
    """Give torch the CPU threads that the steps ask for, or one for each core."""
    import torch

    torch.set_num_threads(jobs[0].runtime.get("threads") or usable_cores())


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_by_hand(work: Work) -> int:
    """Do the steps named on the command line; returns the exit code."""
    directories = [Path(argument) for argument in sys.argv[1:]]
    if not directories:
        print("Name the folders of the steps to do.", file=sys.stderr)
        return 2
    try:
        work_on(directories, work, Events(sys.stdout, as_json=False))
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0
