"""The tiny graph that faults are made in: its command, a call of it, and what it leaves on disk."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PATIENCE = 600.0
"""Seconds after which a command counts as one that never ends."""
TINY = [
    "model.pretraining.dataset.samples=32",
    "model.architecture.hidden_size=32",
    "model.architecture.intermediate_size=64",
    "model.architecture.num_hidden_layers=1",
    "reasoning.dataset.samples=32",
    "world.direct_refusal.samples=16",
    "benchmark=[lab_harmful]",
    "benchmark.lab_harmful.prompts.samples=4",
    "judge=[lab,phrases]",
    "epochs=1",
    "tracking=off",
    "runtime.threads=1",
    "runtime.workers=1",
    "runtime.checkpoint_minutes=0.001",
]
"""A base model, a reasoning model and an aligned one of a few thousand weights, each asked four prompts."""
SERVED = [
    f"--config-dir={HERE / 'conf'}",
    "stage=original",
    "model.start=pretrained",
    "model.tokenizer=own",
    "model.pretraining=null",
    "model.reasoning=true",
    "engine=openai",
    "engine.model=m",
    "engine.server=other",
    "benchmark=[lab_harmful,served_sums]",
    "benchmark.lab_harmful.prompts.samples=4",
    "judge=[compliance]",
    "tracking=off",
    "runtime.threads=1",
    "runtime.requests=4",
    "++runtime.endpoints.default.retries=1",
    "++runtime.endpoints.default.timeout=3",
]
"""A model, a judge and a grader that are all asked at a server."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def traceback(self) -> bool:
        """Whether an error of ours was seen by the user."""
        return "Traceback (most recent call last)" in self.out + self.err

    @property
    def message(self) -> str:
        """The error that it told, or nothing."""
        return self.err.partition("Error: ")[2]


def arguments(outputs: Path) -> list[str]:
    """Return the arguments of the tiny graph's command."""
    return [*TINY, f"runtime.outputs={outputs}"]


def start(asked: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start the command; what it says goes to files in a folder, so that it never waits for us."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        return subprocess.Popen(
            [sys.executable, "-m", "safetax", *asked],
            stdout=out,
            stderr=err,
            text=True,
            env={**os.environ, **(environment or {})},
            cwd=HERE.parents[1],
        )


def end(process: subprocess.Popen[str], folder: Path) -> Ended:
    """Wait for a command; one that never ends is killed, and its code is None's stand-in 99."""
    try:
        code = process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        for pid in [*descendants(process.pid), process.pid]:
            send(pid, signal.SIGKILL)
        process.wait()
        code = 99
    return Ended(code, (folder / "out").read_text(errors="replace"), (folder / "err").read_text(errors="replace"))


def finished(outputs: Path) -> dict[str, str]:
    """Return when each finished step was made, by its key."""
    found = {}
    for path in outputs.glob("*/*/manifest.json"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            manifest = json.loads(path.read_text())
            key = f"{manifest['kind']}/{manifest['fingerprint']}"
            if key == f"{path.parent.parent.name}/{path.parent.name}":
                found[key] = json.dumps(manifest["provenance"], sort_keys=True)
    return found


def results(outputs: Path) -> dict[str, bytes]:
    """Return the results of a run as files; the page says also when and how long steps were made."""
    names = ("results.json", "table.csv", "table.md", "table.tex")
    return {path.name: path.read_bytes() for path in outputs.glob("runs/*/*") if path.name in names and path.is_file()}


def report(outputs: Path) -> dict[str, bytes]:
    """Return the whole report of a run as files, but for what holds the time that it was drawn at."""
    paths = [path for path in outputs.glob("runs/*/**/*") if path.is_file() and "hydra" not in path.parts]
    chosen = [path for path in paths if path.suffix != ".pdf" and path.name != "report.json"]
    return {path.relative_to(outputs).as_posix(): path.read_bytes() for path in chosen}


def copied(source: Path, target: Path) -> Path:
    """Copy an outputs folder with its times, and return the copy."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)
    return target


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that these have."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, path.read_text().split()):
                found += [child, *descendants(child)]
    return found


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def gone(pids: list[int], seconds: float = 60.0) -> bool:
    """Whether all processes end in a while."""
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
