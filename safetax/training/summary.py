"""What a training's step tells of it: the loss curve and the summary of its manifest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from safetax.config.identity import identity
from safetax.config.training import Training
from safetax.data.chat import TrainingRow
from safetax.training.batches import TokenCount
from safetax.training.cost import parameter_counts, tensor_dtypes, unwrapped_optimizer
from safetax.training.progress import ProgressCallback
from safetax.training.resume import Layout


def write_history(path: Path, log: Sequence[dict[str, Any]], objective: str | None = None) -> list[dict[str, Any]]:
    """Write the loss curve, one JSON line for each optimiser step, and return the entries of its steps.

    Args:
        path: the file.
        log: the Trainer's log.
        objective: name of the objective's value; None: there is no objective.
    """
    names = {"step", "epoch", "loss", "learning_rate", "grad_norm", objective}
    history = [entry for entry in log if "loss" in entry]
    with path.open("w") as file:
        for entry in history:
            kept = {key: value for key, value in entry.items() if key in names}
            file.write(json.dumps(kept, sort_keys=True) + "\n")
    return history


def data_summary(rows: Sequence[TrainingRow]) -> dict[str, Any]:
    """Return the number of rows and their tokens."""
    return {"examples": len(rows), "tokens_per_epoch": sum(len(row.tokens) for row in rows)}


def model_summary(training: Training, model: Any, optimizer: Any) -> dict[str, Any]:
    """Return the number of parameters and of trained ones, the optimizer, and the number formats of their tensors."""
    trained, frozen = parameter_counts(model)
    return {
        "parameters": frozen if training.lora else trained,
        "trained_parameters": trained,
        "optimizer": type(unwrapped_optimizer(optimizer)).__name__,
        "dtypes": tensor_dtypes(model, optimizer),
    }


def loss_summary(training: Training, history: Sequence[dict[str, Any]], objective: str | None) -> dict[str, Any]:
    """Return the last optimiser step's loss in nats, and the objective's settings with its last value.

    Args:
        training: hyper-parameters.
        history: entries of the optimiser steps.
        objective: name of the objective's value; None: there is no objective.
    """
    summary: dict[str, Any] = {"final_loss": history[-1]["loss"] if history else None}
    if objective is not None:
        value = next((entry[objective] for entry in reversed(history) if objective in entry), None)
        summary["objective"] = {**identity(training.objective), objective: value}
    return summary


def cost_summary(
    callback: ProgressCallback, count: TokenCount, flops: float, memory: float, layout: Layout, gpu_tflops: float
) -> dict[str, Any]:
    """Return seconds, tokens, utilisation and memory of a training that has ended.

    Args:
        callback: the Trainer's, which kept the time.
        count: tokens of all ranks.
        flops: floating-point operations of all ranks.
        memory: peak memory of a rank in GB.
        layout: the ranks.
        gpu_tflops: what one GPU can do, in 10^12 floating-point operations per second.
    """
    seconds, cuda = callback.seconds, torch.cuda.is_available()
    return {
        "train_seconds": round(seconds, 3),
        "startup_seconds": round(callback.attempts.startup_seconds, 3),
        "lost_seconds": round(callback.lost_seconds, 3),
        "attempts": callback.attempts.number,
        "tokens": count.tokens,
        "tokens_per_second": round(count.tokens / seconds, 1),
        "mfu": round(flops / seconds / (layout.ranks * gpu_tflops * 1e12), 4) if cuda else None,
        "peak_memory_gb": round(memory, 3),
        "devices": layout.ranks,
        "zero": layout.zero,
        "gpu": torch.cuda.get_device_name() if cuda else None,
    }
