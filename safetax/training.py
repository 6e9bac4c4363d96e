"""Supervised fine-tuning with transformers' Trainer: one rank's part of the train worker."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from safetax.chat import ChatRenderer, TrainingRow
from safetax.checkpoint import MODEL, load_model, load_tokenizer, save_model
from safetax.config.identity import restore_node
from safetax.config.schema import Format, Training
from safetax.errors import UserError
from safetax.optimizers import make_optimizer
from safetax.records import Example, read_records
from safetax.workers.job import StepJob

COMPLETE = "complete"
"""File in a training checkpoint's folder, written last."""

IGNORED = -100
"""Label of a token without loss."""


@dataclass
class Collator:
    """Pads training rows to the longest of the batch, on the right, and counts the tokens."""

    pad: int
    tokens: int = 0

    def __call__(self, rows: Sequence[TrainingRow]) -> dict[str, torch.Tensor]:
        """Return ``input_ids``, ``attention_mask`` and ``labels``, each of shape [batch, longest]."""
        longest = max(len(row.tokens) for row in rows)
        ids = torch.full((len(rows), longest), self.pad)
        mask = torch.zeros((len(rows), longest), dtype=torch.long)
        labels = torch.full((len(rows), longest), IGNORED)
        for index, row in enumerate(rows):
            length = len(row.tokens)
            tokens = torch.tensor(row.tokens)
            ids[index, :length] = tokens
            mask[index, :length] = 1
            labels[index, row.completion_start : length] = tokens[row.completion_start :]
            self.tokens += length
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def tokenise(examples: Sequence[Example], renderer: ChatRenderer, max_tokens: int) -> list[TrainingRow]:
    """Return the training rows of a data set.

    Raises:
        UserError: an example carries no loss or is too long; names it by index and reason.
    """
    rows = []
    for index, example in enumerate(examples):
        try:
            row = renderer.row(example)
        except ValueError as error:
            raise UserError(f"Row {index} ({example.id}) of the data cannot be trained on: {error}.") from None
        if len(row.tokens) > max_tokens:
            raise UserError(
                f"Row {index} ({example.id}) of the data has {len(row.tokens)} tokens, more than "
                f"max_tokens={max_tokens}; raise it or leave the row out."
            )
        rows.append(row)
    if not rows:
        raise UserError("The data has no rows, so there is nothing to train on.")
    return rows


class SupervisedTrainer(Trainer):
    """Trainer with our optimizers."""

    def __init__(self, training: Training, **arguments: Any) -> None:
        self.training = training
        super().__init__(**arguments)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Make the optimizer that the configuration names."""
        if self.optimizer is None:
            source: Any = model if model is not None else self.model
            self.optimizer = make_optimizer(source, self.training, self.get_decay_parameter_names(source))
        return self.optimizer


class Watch(TrainerCallback):
    """Reports progress, saves by the clock, and marks checkpoints that are whole."""

    def __init__(self, report: Callable[[int, int, float], None], minutes: float, collator: Collator) -> None:
        self.report = report
        self.seconds = minutes * 60
        self.collator = collator
        self.started = self.saved = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clocks."""
        self.started = self.saved = time.monotonic()
        self.collator.tokens = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report, and ask for a checkpoint when one is due; all ranks decide alike."""
        now = time.monotonic()
        rate = self.collator.tokens * args.world_size / max(now - self.started, 1e-9)
        self.report(state.global_step, state.max_steps, rate)
        # Between two entries of the loss curve the Trainer holds a sum that no checkpoint keeps.
        whole = state.global_step % args.logging_steps == 0
        due = whole and now - self.saved >= self.seconds and state.global_step < state.max_steps
        if args.world_size > 1:
            flag = torch.tensor([float(due)], device=args.device)
            torch.distributed.broadcast(flag, src=0)
            due = bool(flag.item())
        control.should_save = due

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint as whole and drop the older ones."""
        self.saved = time.monotonic()
        if args.world_size > 1:
            torch.distributed.barrier()
        if not state.is_world_process_zero:
            return
        newest = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        _mark(newest, args.world_size)
        for path in Path(args.output_dir).glob("checkpoint-*"):
            if path != newest:
                shutil.rmtree(path, ignore_errors=True)


def _mark(checkpoint: Path, ranks: int) -> None:
    with (checkpoint / COMPLETE).open("w") as file:
        json.dump({"ranks": ranks}, file)
        file.flush()
        os.fsync(file.fileno())


def last_checkpoint(directory: Path, ranks: int) -> str | None:
    """Return the newest whole training checkpoint of an unfinished step, or None.

    Raises:
        UserError: it was written by another number of ranks, which sharded optimizer states cannot be read by.
    """
    whole = [path for path in directory.glob("checkpoint-*") if (path / COMPLETE).is_file()]
    if not whole:
        return None
    newest = max(whole, key=lambda path: int(path.name.rsplit("-", 1)[1]))
    before = json.loads((newest / COMPLETE).read_text())["ranks"]
    if before != ranks:
        raise UserError(
            f"{newest} was written by {before} rank{'s' * (before > 1)} and cannot be resumed on {ranks}: set "
            f"runtime.devices={before} to go on, or remove that folder to start this training again."
        )
    return str(newest)


def arguments_for(training: Training, runtime: dict[str, Any], seed: int, rows: int, output: Path) -> TrainingArguments:
    """Return the Trainer's arguments.

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
        warmup_steps=math.ceil(training.warmup_ratio * steps),
        max_grad_norm=training.max_grad_norm or 0.0,
        logging_steps=max(1, min(10, steps // 4)),
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
    """Return the optimiser steps of a training; a fraction of an epoch is rounded up to a step."""
    return max(1, math.ceil(training.epochs * math.ceil(rows / training.global_batch)))


def deepspeed_config(training: Training, runtime: dict[str, Any], micro: int) -> dict[str, Any]:
    """Return the DeepSpeed configuration; it has no optimizer block, so that ours is the one that steps."""
    return {
        "zero_optimization": {
            "stage": runtime["zero"],
            "stage3_gather_16bit_weights_on_model_save": True,
        },
        "bf16": {"enabled": training.dtype == "bfloat16"},
        "gradient_clipping": training.max_grad_norm or 0.0,
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": "auto",
        "train_batch_size": "auto",
    }


def train(job: StepJob, report: Callable[[int, int, float], None]) -> dict[str, Any]:
    """Train one step's model and save it; returns the step's summary on rank 0 and an empty one on the others.

    Args:
        job: the step.
        report: called with optimiser steps done, steps in all, and tokens per second.

    Raises:
        UserError: the data or the checkpoint to resume from cannot be used.
    """
    training = restore_node(Training, job.identity["training"])
    runtime, seed = job.runtime, job.identity["seed"]
    tokenizer = load_tokenizer(job.identity, job.inputs)
    renderer = ChatRenderer(tokenizer, restore_node(Format, job.identity["format"]))
    examples = read_records(job.inputs["data"] / "examples.jsonl", Example)
    rows = tokenise(examples, renderer, training.max_tokens)
    resume = last_checkpoint(job.scratch, runtime["devices"])
    arguments = arguments_for(training, runtime, seed, len(rows), job.scratch)
    model = load_model(job.identity, job.inputs, tokenizer, training.dtype, seed)
    model.config.use_cache = False
    if runtime["gradient_checkpointing"]:
        model.gradient_checkpointing_enable()
    collator = Collator(tokenizer.pad_token_id)
    trainer = SupervisedTrainer(
        training,
        model=model,
        args=arguments,
        train_dataset=rows,  # pyright: ignore[reportArgumentType]
        data_collator=collator,  # pyright: ignore[reportArgumentType]
        callbacks=[Watch(report, runtime["checkpoint_minutes"], collator)],
    )
    trainer.pop_callback(_printer())
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=resume)
    seconds = time.monotonic() - started
    state: Any = trainer.accelerator.get_state_dict(trainer.model_wrapped) if runtime["zero"] else None
    if not trainer.is_world_process_zero():
        return {}
    model.config.use_cache = True
    save_model(job.directory / MODEL, model, tokenizer, state)
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    with (job.directory / "history.jsonl").open("w") as file:
        for entry in history:
            kept = {key: entry[key] for key in ("step", "epoch", "loss", "learning_rate", "grad_norm") if key in entry}
            file.write(json.dumps(kept, sort_keys=True) + "\n")
    return {
        "optimizer": type(_innermost(trainer.optimizer)).__name__,
        "optimizer_steps": trainer.state.global_step,
        "resumed_at": int(resume.rsplit("-", 1)[1]) if resume else 0,
        "examples": len(rows),
        "tokens_per_epoch": sum(len(row.tokens) for row in rows),
        "parameters": sum(math.prod(parameter.shape) for parameter in _full_shapes(model)),
        "final_loss": history[-1]["loss"] if history else None,
        "train_seconds": round(seconds, 3),
        "tokens_per_second": round(collator.tokens * arguments.world_size / seconds, 1),
    }


def _printer() -> type[TrainerCallback]:
    from transformers.trainer_callback import PrinterCallback

    return PrinterCallback


def _innermost(optimizer: Any) -> Any:
    while hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer


@dataclass
class _Shaped:
    shape: tuple[int, ...]


def _full_shapes(model: Any) -> list[_Shaped]:
    """Return the parameters' own shapes; under ZeRO-3 a rank holds parts of them only."""
    return [_Shaped(tuple(getattr(parameter, "ds_shape", parameter.shape))) for parameter in model.parameters()]
