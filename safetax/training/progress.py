"""The Trainer's callback that reports progress, saves by the clock, and records what the training costs."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from safetax.errors import UserError
from safetax.store.job import StepJob
from safetax.store.stop_request import asked_to_stop, stop_file
from safetax.training.batches import TokenCount
from safetax.training.resume import Attempts, ResumePoint, mark_complete

if TYPE_CHECKING:
    from safetax.training.trainer import SupervisedTrainer

RECORD_SECONDS = 10.0
"""Seconds between two records of what an attempt costs."""


def peak_memory() -> float:
    """Return this process's peak of reserved memory in GB (10^9 bytes): of its GPU, or else of the host."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved() / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def over_ranks(values: list[float], operation: str = "SUM") -> list[float]:
    """Return the sums of all ranks' values, or ``MAX``, the largest; all ranks must call."""
    if not torch.distributed.is_initialized():
        return values
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(tensor, getattr(torch.distributed.ReduceOp, operation))
    return tensor.tolist()


class ProgressCallback(TrainerCallback):
    """Reports progress, saves by the clock, marks checkpoints that are whole, and records what the training costs.

    Args:
        job: the step.
        report: called with optimiser steps done, steps in all, and tokens per second.
        resumed: the training checkpoint that this attempt goes on from; None: it begins from nothing.
    """

    trainer: SupervisedTrainer

    def __init__(self, job: StepJob, report: Callable[[int, int, float], None], resumed: ResumePoint | None) -> None:
        self.report = report
        self.save_seconds = job.runtime["checkpoint_minutes"] * 60
        self.scratch = job.scratch
        self.resumed = resumed or ResumePoint(Path())
        self.attempts = Attempts.read(job.scratch)
        self.attempts.number += 1
        self.earlier_seconds = self.attempts.train_seconds
        self.called = job.started
        self.started = self.saved = self.recorded = time.monotonic()
        self.ended: float | None = None
        self.stop = False

    @property
    def seconds(self) -> float:
        """Seconds of training that led to the model as it is, those before the resumed checkpoint included."""
        return self.resumed.seconds + self._own_seconds

    @property
    def lost_seconds(self) -> float:
        """Seconds of training of earlier attempts behind their last checkpoints."""
        return max(0.0, self.attempts.train_seconds - self.seconds)

    @property
    def _own_seconds(self) -> float:
        return (self.ended or time.monotonic()) - self.started

    def token_count(self) -> TokenCount:
        """Return what the model as it is was trained on by all ranks together; all of them must call."""
        own = self.trainer.token_count
        tokens, squares = over_ranks([own.tokens, own.squares])
        return self.resumed.token_count + TokenCount(int(tokens), int(squares))

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clocks."""
        self.started = self.saved = self.recorded = time.monotonic()
        self.attempts.startup_seconds += self.started - self.called
        self._record(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report, and ask for a checkpoint when one is due; all ranks decide alike."""
        now = time.monotonic()
        rate = self.trainer.token_count.tokens * args.world_size / max(self._own_seconds, 1e-9)
        self.report(state.global_step, state.max_steps, rate)
        if now - self.recorded >= RECORD_SECONDS:
            self._record(state)
        unfinished = state.global_step < state.max_steps
        stop = unfinished and asked_to_stop(self.scratch)
        due = unfinished and (stop or now - self.saved >= self.save_seconds)
        if args.world_size > 1:
            flags = torch.tensor([float(due), float(stop)], device=args.device)
            torch.distributed.broadcast(flags, src=0)
            due, stop = (bool(flag) for flag in flags.tolist())
        control.should_save, self.stop = due, stop

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint as whole and drop the older ones.

        Raises:
            UserError: the training was asked to stop, and has saved this checkpoint.
        """
        self.saved = time.monotonic()
        token_count = self.token_count()  # and all ranks have written their part
        if state.is_world_process_zero:
            mark_complete(Path(args.output_dir), state.global_step, self.trainer.layout, self.seconds, token_count)
        if self.stop:
            self.ended = time.monotonic()
            self._record(state)
            if args.world_size > 1:
                torch.distributed.barrier()
            stop_file(self.scratch).unlink(missing_ok=True)
            raise UserError(f"stopped after step {state.global_step} of {state.max_steps}, as asked; run it again.")

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop the clock."""
        self.ended = time.monotonic()
        self._record(state)

    def _record(self, state: Any) -> None:
        self.recorded = time.monotonic()
        self.attempts.train_seconds = self.earlier_seconds + self._own_seconds
        if state.is_world_process_zero:
            self.attempts.write(self.scratch)
