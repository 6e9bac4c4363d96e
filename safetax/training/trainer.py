"""The loop of a training: transformers' Trainer with our optimizers, our order of rows, our clocks and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from safetax.config.training import Training
from safetax.errors import UserError
from safetax.store.job import StepJob
from safetax.store.stop_request import asked_to_stop, stop_file
from safetax.training.batches import Collator, Order, Work, concerned_tokens, supervised_rows
from safetax.training.cost import total_over_ranks
from safetax.training.deepspeed_settings import deepspeed_config
from safetax.training.objective_term import TOTAL, Term
from safetax.training.optimizers import make_optimizer
from safetax.training.resume import Attempts, Layout, Resumed, mark_complete

NOTE_SECONDS = 10.0
"""How often the cost of an attempt is noted down."""


class SupervisedTrainer(Trainer):
    """Trainer with our optimizers and our order of rows, which counts what it is trained on."""

    def __init__(
        self,
        training: Training,
        layout: Layout,
        rows: int,
        collator: Collator,
        term: Term | None,
        **arguments: Any,
    ) -> None:
        self.training = training
        self.term = term
        self.concerned = 0
        self.layout = layout
        self.rows = rows
        self.batches = collator
        self.work = Work()
        super().__init__(**arguments, data_collator=collator)  # pyright: ignore[reportArgumentType]
        self.pop_callback(PrinterCallback)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Make the optimizer that the configuration names."""
        if self.optimizer is None:
            source: Any = model if model is not None else self.model
            decayed = self.get_decay_parameter_names(source)
            self.optimizer = make_optimizer(source, self.training, decayed, self.layout.offload != "none")
        return self.optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.layout.ranks == 1:
            return super()._get_train_sampler(train_dataset)
        steps = math.ceil(self.rows / self.training.global_batch)
        # Not a count of its own: a resumed training begins in the middle of an epoch.
        return Order(
            self.rows, self.training.global_batch, self.args.data_seed or 0, lambda: self.state.global_step // steps
        )

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> tuple[list[Any], Any]:
        """Return the micro batches of an optimiser step and what its loss is a mean over.

        With an objective the batches know how many tokens of the step it concerns.
        """
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self.batches.by_row:
            items = self._in_all(sum(supervised_rows(batch) for batch in batches), device)
        if self.term is not None:
            total = self._in_all(sum(concerned_tokens(batch).sum() for batch in batches), device)
            self.concerned = int(total)
            for batch in batches:
                batch[TOTAL] = total
        return batches, items

    def _in_all(self, own: Any, device: torch.device) -> Any:
        """Return the sum of a number over the ranks."""
        number = torch.as_tensor(own).to(device)
        total: Any = self.accelerator.gather(number) if self.layout.ranks > 1 else number
        return total.sum()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log an optimiser step, with what the objective's term was in it if it concerned a token."""
        if self.term is not None and "loss" in logs:
            value = torch.tensor(self.term.taken(), device=self.args.device)
            if self.layout.ranks > 1:
                value = self.accelerator.gather(value).sum()  # pyright: ignore[reportAttributeAccessIssue]
            if self.concerned:
                logs[self.term.objective.name] = float(value)
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Return 0: what a training costs is counted once, from its work, in :mod:`safetax.training.cost`."""
        return 0

    def training_step(self, *arguments: Any, **keywords: Any) -> torch.Tensor:
        """Train on one micro batch."""
        self.work += self.batches.waiting.popleft()
        return super().training_step(*arguments, **keywords)


class Watch(TrainerCallback):
    """Reports progress, saves by the clock, marks checkpoints that are whole, and notes what the training costs."""

    def __init__(self, job: StepJob, report: Callable[[int, int, float], None], resumed: Resumed | None) -> None:
        self.report = report
        self.pause = job.runtime["checkpoint_minutes"] * 60
        self.scratch = job.scratch
        self.before = resumed or Resumed(Path())
        self.attempts = Attempts.read(job.scratch)
        self.attempts.number += 1
        self.earlier = self.attempts.train_seconds
        self.called = job.started
        self.started = self.saved = self.noted = time.monotonic()
        self.ended: float | None = None
        self.stop = False
        self.trainer: SupervisedTrainer

    @property
    def seconds(self) -> float:
        """Seconds of this attempt's training so far."""
        return (self.ended or time.monotonic()) - self.started

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clocks."""
        self.started = self.saved = self.noted = time.monotonic()
        self.attempts.startup_seconds += self.started - self.called
        self._note(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report, and ask for a checkpoint when one is due; all ranks decide alike."""
        now = time.monotonic()
        rate = self.trainer.work.tokens * args.world_size / max(self.seconds, 1e-9)
        self.report(state.global_step, state.max_steps, rate)
        if now - self.noted >= NOTE_SECONDS:
            self._note(state)
        unfinished = state.global_step < state.max_steps
        stop = unfinished and asked_to_stop(self.scratch)
        due = unfinished and (stop or now - self.saved >= self.pause)
        if args.world_size > 1:
            flags = torch.tensor([float(due), float(stop)], device=args.device)
            torch.distributed.broadcast(flags, src=0)
            due, stop = (bool(flag) for flag in flags.tolist())
        control.should_save, self.stop = due, stop

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint as whole and drop the older ones."""
        self.saved = time.monotonic()
        work = self.before.work + total_over_ranks(self.trainer.work)  # and all ranks have written their part
        if state.is_world_process_zero:
            seconds = self.before.seconds + self.seconds
            mark_complete(Path(args.output_dir), state.global_step, self.trainer.layout, seconds, work)
        if self.stop:
            self.ended = time.monotonic()
            self._note(state)
            if args.world_size > 1:
                torch.distributed.barrier()
            stop_file(self.scratch).unlink(missing_ok=True)
            raise UserError(f"stopped after step {state.global_step} of {state.max_steps}, as asked; run it again.")

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop the clock."""
        self.ended = time.monotonic()
        self._note(state)

    def _note(self, state: Any) -> None:
        self.noted = time.monotonic()
        self.attempts.train_seconds = self.earlier + self.seconds
        if state.is_world_process_zero:
            self.attempts.write(self.scratch)


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
        bf16=training.dtype == "bfloat16_mixed" or (training.dtype == "bfloat16" and bool(runtime["zero"])),
        warmup_steps=math.ceil(training.warmup_ratio * steps),
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
    """Return the optimiser steps of a training; a fraction of an epoch is rounded up to a step."""
    return max(1, math.ceil(training.epochs * math.ceil(rows / training.global_batch)))
