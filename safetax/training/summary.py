"""Summarise a training: the loss curve, the number formats it was really done in, and what it cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from safetax.config.identity import identity
from safetax.config.training import Training
from safetax.training.batches import TokenCount
from safetax.training.optimizers import MuonWithAdamW
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


def parameter_counts(model: Any) -> tuple[int, int]:
    """Count a model's trained and its frozen parameters, whole ones also under ZeRO-3, where a rank has parts."""
    trained = frozen = 0
    for parameter in model.parameters():
        count = getattr(parameter, "ds_numel", parameter.numel())
        trained, frozen = (trained + count, frozen) if parameter.requires_grad else (trained, frozen + count)
    return trained, frozen


def training_flops(model: Any, count: TokenCount) -> float:
    """Return the floating-point operations that a training on so many tokens needs.

    Per token 6 for a parameter that is trained (2 forward, 4 backward), 4 for a frozen one (its own gradient is not
    needed) and none for the input embedding, which is looked up; for attention 12 x layers x width x length of the row,
    as if no token were masked. What gradient checkpointing computes again does not count.
    """
    trained, frozen = parameter_counts(model)
    config = model.config.get_text_config()
    inputs, outputs = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    looked_up = 0 if inputs is outputs else getattr(inputs, "ds_numel", inputs.numel())
    if inputs.requires_grad:
        trained -= looked_up
    else:
        frozen -= looked_up
    heads = config.num_attention_heads
    width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
    return (6.0 * trained + 4.0 * frozen) * count.tokens + 12.0 * config.num_hidden_layers * width * count.squares


def unwrapped_optimizer(optimizer: Any) -> Any:
    """Return the optimizer inside the wrappers of accelerate and DeepSpeed."""
    while hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer


def tensor_dtypes(model: Any, optimizer: Any) -> dict[str, str]:
    """Return the number formats of the weights, of what the optimizer steps, and of its states, from the tensors."""
    inner = unwrapped_optimizer(optimizer)
    parts = [inner.muon, inner.adamw] if isinstance(inner, MuonWithAdamW) else [inner]
    states = [(key, state) for part in parts for key, state in part.state.items()]
    found = {
        "weights": {parameter.dtype for parameter in model.parameters()},
        "masters": {key.dtype for key, _ in states},
        # A step count is no state of a weight.
        "optimizer": {
            value.dtype
            for _, state in states
            for name, value in state.items()
            if torch.is_tensor(value) and name != "step"
        },
    }
    return {name: "+".join(sorted(str(dtype).split(".")[1] for dtype in kinds)) for name, kinds in found.items()}


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
