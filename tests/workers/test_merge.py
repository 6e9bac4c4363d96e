"""The merge worker: a training mixed with the LRM that it began from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from safetax.models.interpolation import interpolate
from safetax.store.status import Store
from safetax.store.step import Step
from safetax.store.work_loop import work_on
from safetax.workers import merge
from tests.support.tiny_models import save_tiny
from tests.support.tiny_steps import put_manifest, silent


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


def same_bits(first: torch.Tensor, second: torch.Tensor) -> bool:
    raw = [tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (first, second)]
    return first.dtype == second.dtype and first.shape == second.shape and torch.equal(raw[0], raw[1])


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two checkpoints of one architecture."""
    first, second = (save_tiny(tmp_path / str(seed), "qwen2", seed=seed) for seed in (0, 1))
    return first, second


def trained(store: Store, model: Path) -> Step:
    """A finished training, whose model is a copy."""
    step = Step("train", f"training of {model.name}", {"which": model.name})
    shutil.copytree(model, store.freeze(step) / "model")
    put_manifest(store, step)
    return step


@pytest.mark.parametrize("local", [False, True])
def test_the_worker_mixes_a_training_with_its_lrm(pair: tuple[Path, Path], tmp_path: Path, local: bool) -> None:
    """The LRM is a training, or the starting model as it is."""
    store = Store(tmp_path / "outputs")
    aligned = trained(store, pair[1])
    start = {"start": "pretrained", "id": str(pair[0]), "revision": None, "tokenizer": "own"}
    values: dict[str, Any] = {"interpolation": 0.5, **({"model": start} if local else {})}
    inputs = {"model": aligned, **({} if local else {"lrm": trained(store, pair[0])})}
    step = Step("merge", "half", values, inputs)
    assert work_on([store.freeze(step)], merge.work, silent()) == 0
    assert store.status(step).complete
    interpolate(*pair, 0.5, tmp_path / "out")
    made = weights(store.directory(step) / "model")
    assert all(same_bits(made[name], tensor) for name, tensor in weights(tmp_path / "out").items())
    manifest = store.manifest(step)
    assert manifest is not None and manifest["summary"]["interpolation"] == 0.5
