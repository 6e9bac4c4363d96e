"""The arguments of transformers' Trainer that a training's settings come to."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from safetax.config.training import Training, exact
from safetax.training.deepspeed_settings import deepspeed_config


def training_arguments(
    training: Training, runtime: dict[str, Any], seed: int, rows: int, output: Path
) -> TrainingArguments:
    """Return the Trainer's arguments.

    With ZeRO-3 transformers spreads every model over the ranks that is loaded while they exist.

    Args:
        training: hyper-parameters.
        runtime: devices, ZeRO stage, micro batch.
        seed: seed of data order and dropout.
        rows: number of training rows.
        output: folder of the training checkpoints.
    """
    devices = runtime["devices"]
    share = training.global_batch // devices
    micro = runtime["micro_batch"] or share
    cuda = torch.cuda.is_available()
    steps = optimizer_steps(training, rows)
    return TrainingArguments(
        output_dir=str(output),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=share // micro,
        max_steps=steps,
        learning_rate=training.learning_rate,
        lr_scheduler_type={"constant": "constant_with_warmup"}.get(training.schedule, training.schedule),
        bf16=training.dtype == "bfloat16_mixed" or (training.dtype == "bfloat16" and bool(runtime["zero"])),
        warmup_steps=math.ceil(exact(training.warmup_ratio) * steps),
        max_grad_norm=training.max_grad_norm or 0.0,
        logging_steps=1,  # between two entries the Trainer holds a sum that no checkpoint keeps
        save_strategy="no",
        seed=seed,
        data_seed=seed,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        use_cpu=not cuda,
        accelerator_config=None if cuda or devices == 1 else {"use_configured_state": True},
        deepspeed=deepspeed_config(training, runtime, micro) if runtime["zero"] else None,
    )


def optimizer_steps(training: Training, rows: int) -> int:
    """Return the optimiser steps of a training on so many rows; a fraction of an epoch is rounded up to a step."""
    return max(1, math.ceil(exact(training.epochs) * -(-rows // training.global_batch)))
