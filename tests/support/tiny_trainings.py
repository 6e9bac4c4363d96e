"""Real trainings that take seconds: done in this process or as the command, ended early, and read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from safetax.records import Example
from safetax.store.manifest import read_json, write_json
from safetax.store.work_loop import work_on
from safetax.training.objectives.kl import Config
from safetax.workers import train
from tests.support.tiny_models import chats, training_step
from tests.support.tiny_steps import silent


def train_in_process(step: Path) -> int:
    return work_on([step], train.work, silent())


def train_by_hand(step: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "safetax.workers.train", str(step)],
        capture_output=True,
        text=True,
        timeout=400,
        env={**os.environ, **environment},
    )


@contextmanager
def ended_behind_checkpoint(number: int) -> Iterator[None]:
    """Make a training in this process fail behind its first checkpoint from an optimiser step on."""
    from safetax.training.progress import ProgressCallback

    original = ProgressCallback.on_save

    def failing(self: Any, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        original(self, args, state, control, **keywords)
        if state.global_step >= number:
            raise RuntimeError("the training was ended by the test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProgressCallback, "on_save", failing)
        yield


def set_runtime(step: Path, **values: object) -> None:
    write_json(step / "runtime.json", {**(read_json(step / "runtime.json") or {}), **values})


def aligned_step(outputs: Path) -> Path:
    """Return the folder of the lab's one aligned checkpoint."""
    found = [
        path.parent for path in outputs.glob("train/*/step.json") if "align" in json.loads(path.read_text())["title"]
    ]
    assert len(found) == 1
    return found[0]


def summary_of(step: Path) -> dict[str, Any]:
    manifest = read_json(step / "manifest.json")
    assert manifest is not None, (step / "worker.log").read_text() if (step / "worker.log").exists() else "not finished"
    return manifest["summary"]


def weights(step: Path) -> dict[str, Any]:
    return tensors(step / "model")


def tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def history(step: Path, name: str) -> list[Any]:
    return [json.loads(line)[name] for line in (step / "history.jsonl").read_text().splitlines()]


def losses(step: Path) -> list[float]:
    return history(step, "loss")


KL = Config("kl", weight=0.5, part="benign")


def mixed(count: int) -> list[Example]:
    """Rows of two parts, two of three benign."""
    return [replace(row, meta={"mixture": "benign" if at % 3 else "safety"}) for at, row in enumerate(chats(count))]


def held_training(folder: Path, start: Path, runtime: dict[str, Any] | None = None, **training: Any) -> Path:
    """Train in this process, held to the start, on mixed rows that leave an epoch's last optimiser step unfilled."""
    step = _held_step(folder, start, runtime, training)
    assert train_in_process(step) == 0
    return step


def held_training_on_ranks(folder: Path, start: Path, runtime: dict[str, Any], **training: Any) -> Path:
    """Train as ``held_training`` does, on two ranks."""
    step = _held_step(folder, start, {"devices": 2, "micro_batch": 1, **runtime}, training)
    done = train_by_hand(step)
    assert done.returncode == 0, done.stdout + done.stderr
    return step


def _held_step(folder: Path, start: Path, runtime: dict[str, Any] | None, training: dict[str, Any]) -> Path:
    settings: dict[str, Any] = {"objective": KL, "epochs": 2, "global_batch": 4, **training}
    return training_step(folder, start, mixed(13), runtime, **settings)
