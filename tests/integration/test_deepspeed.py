"""DeepSpeed's ranks: ZeRO against the plain run, with everything that saves memory, and after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from safetax.config.training import Lora
from safetax.store.manifest import clear, read_json
from tests.support.tiny_models import chats, save_tiny, training_step
from tests.support.tiny_trainings import (
    aligned_step,
    held_training,
    held_training_on_ranks,
    history,
    losses,
    set_runtime,
    summary_of,
    train_by_hand,
    train_in_process,
    weights,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.deepspeed,
    pytest.mark.skipif(sys.platform != "linux", reason="DeepSpeed needs Linux"),
]


def test_zero3_on_two_ranks_trains_as_the_plain_run_does(copied_lab: Path) -> None:
    import torch

    step = aligned_step(copied_lab)
    plain, plain_losses = weights(step), losses(step)
    lrm = copied_lab / json.loads((step / "step.json").read_text())["inputs"]["model"]
    clear(step)
    set_runtime(step, zero=3, devices=2, threads=1)
    done = train_by_hand(step)
    assert done.returncode == 0, done.stdout + done.stderr
    sharded, start = weights(step), weights(lrm)
    assert losses(step) == pytest.approx(plain_losses, rel=1e-4)
    assert sharded.keys() == plain.keys()
    for name, value in sharded.items():
        assert value.shape == plain[name].shape
        torch.testing.assert_close(value, plain[name], rtol=1e-3, atol=2e-5)
    moved = [name for name, value in sharded.items() if not torch.equal(value, start[name])]
    assert len(moved) == len(sharded)
    summary = (read_json(step / "manifest.json") or {})["summary"]
    assert summary["optimizer"] == "AdamW"
    assert summary["parameters"] == sum(value.numel() for value in sharded.values())


@pytest.mark.parametrize(
    ("zero", "model_type", "tied", "values", "formats"),
    [
        (
            3,
            "qwen2",
            False,
            {"dtype": "bfloat16", "lora": {"rank": 4, "target_modules": ["q_proj", "down_proj"]}},
            {"weights": "bfloat16", "masters": "bfloat16", "optimizer": "bfloat16"},
        ),
        (
            2,
            "llama",
            True,
            # Decay decides much here: inside the gradient, as another Adam has it, the losses would be others.
            {"dtype": "bfloat16_mixed", "offload": "optimizer", "weight_decay": 30.0, "loss_mean": "rows"},
            {"weights": "bfloat16", "masters": "float32", "optimizer": "float32"},
        ),
    ],
    ids=["zero3-bfloat16-lora", "zero2-mixed-offload"],
)
def test_zero_in_bfloat16_with_everything_that_saves_memory(
    tmp_path: Path, zero: int, model_type: str, tied: bool, values: dict[str, Any], formats: dict[str, str]
) -> None:
    """Chunked loss, gradient checkpointing, micro batches and tied weights, against the plain run on one rank."""
    import torch

    start = save_tiny(tmp_path / "start", model_type, tie_word_embeddings=tied)
    lora = Lora(**values["lora"]) if "lora" in values else None
    offload, decay = values.get("offload", "none"), values.get("weight_decay", 0.0)
    settings = {"dtype": values["dtype"], "lora": lora, "learning_rate": 3e-3, "epochs": 3, "weight_decay": decay}
    settings |= {"loss_mean": values.get("loss_mean", "tokens")}
    spread = {"devices": 2, "zero": zero, "micro_batch": 1, "loss_chunk": 8, "gradient_checkpointing": True}
    spread |= {"offload": offload}
    step = training_step(tmp_path / "o", start, chats(9), spread, **settings)
    done = train_by_hand(step)
    assert done.returncode == 0, done.stdout + done.stderr
    plain = training_step(tmp_path / "p", start, chats(9), **settings)
    assert train_in_process(plain) == 0
    summary = summary_of(step)
    assert summary["dtypes"] == formats
    optimizer = "AdamW" if offload == "none" else "DeepSpeedCPUAdam"  # the latter is compiled on its first use
    assert (summary["optimizer"], summary["zero"], summary["devices"]) == (optimizer, zero, 2)
    for key in ("tokens", "parameters", "trained_parameters", "optimizer_steps"):
        assert summary[key] == summary_of(plain)[key], key
    assert losses(step) == pytest.approx(losses(plain), rel=0.02)
    from safetensors.torch import load_file

    before, after, alone = load_file(start / "model.safetensors"), weights(step), weights(plain)
    assert after.keys() == before.keys() == alone.keys()
    for name, value in after.items():
        assert value.dtype == torch.bfloat16
        begun = before[name].to(torch.bfloat16)
        # An adapter is on the matrix; a bias beside it stays.
        targeted = lora is None or any(f"{part}.weight" in name for part in lora.target_modules)
        assert torch.equal(value, begun) != targeted, name
        if targeted:
            way, other = (tensor.float() - begun.float() for tensor in (value, alone[name]))
            assert torch.nn.functional.cosine_similarity(way.flatten(), other.flatten(), 0) > 0.8, name


def test_killed_zero3_training_in_pure_bfloat16_resumes(tmp_path: Path) -> None:
    """In its second epoch, so that the order of the rows must be found again; costs of both attempts add up."""
    start = save_tiny(tmp_path / "start", "qwen3", tie_word_embeddings=True)
    settings: dict[str, Any] = {"dtype": "bfloat16", "epochs": 30, "learning_rate": 3e-3}
    runtime = {"devices": 2, "zero": 3, "loss_chunk": 8, "checkpoint_minutes": 1e-9}
    step = training_step(tmp_path / "o", start, chats(12), runtime, **settings)
    process = subprocess.Popen(
        [sys.executable, "-m", "safetax.workers.train", str(step)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 200
    while not list(step.glob("scratch/checkpoint-[1-9][0-9]/complete")):
        assert process.poll() is None, "the training ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = train_by_hand(step)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = summary_of(step)
    assert summary["resumed_at"] >= 10 and summary["attempts"] == 2
    assert summary["dtypes"] == {"weights": "bfloat16", "masters": "bfloat16", "optimizer": "bfloat16"}
    plain = training_step(tmp_path / "p", start, chats(12), **settings)
    assert train_in_process(plain) == 0
    assert summary["tokens"] == summary_of(plain)["tokens"]
    assert losses(step)[:8] == pytest.approx(losses(plain)[:8], rel=0.1)
    assert losses(step)[-1] < 0.5 * losses(step)[0]
    assert not (step / "scratch").exists()


@pytest.mark.parametrize(
    ("zero", "lora", "chunk"),
    [(2, None, None), (3, None, 3), (3, Lora(rank=2), None)],
    ids=["zero2", "zero3-copy-chunked", "zero3-adapters-off"],
)
def test_an_objective_on_sharded_ranks_has_what_one_has(
    tmp_path: Path, zero: int, lora: Lora | None, chunk: int | None
) -> None:
    """Under ZeRO-3 every rank has a whole frozen copy; with adapters the frozen model is spread as the trained one."""
    start = save_tiny(tmp_path / "start", "llama")
    alone = held_training(tmp_path / "alone", start, lora=lora)
    runtime = {"zero": zero, "loss_chunk": chunk, "gradient_checkpointing": chunk is not None}
    ranks = held_training_on_ranks(tmp_path / "ranks", start, runtime, lora=lora)
    for name in ("loss", "kl"):
        assert history(ranks, name) == pytest.approx(history(alone, name), rel=1e-3)
