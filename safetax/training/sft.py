"""One supervised fine-tuning from data and starting model to checkpoint: one rank's part of the train worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from safetax.config.identity import restore_node
from safetax.config.schema import Format
from safetax.config.training import Training
from safetax.data.chat import ChatRenderer
from safetax.models.checkpoint import MODEL, load_tokenizer, save_model
from safetax.records import Example, read_records
from safetax.store.job import StepJob
from safetax.training.arguments import training_arguments
from safetax.training.batches import Collator
from safetax.training.drift import drift_summary
from safetax.training.objectives import objective_of
from safetax.training.progress import ProgressCallback, over_ranks, peak_memory
from safetax.training.resume import Layout, last_checkpoint
from safetax.training.rows import BadRows, training_rows
from safetax.training.summary import cost_summary, loss_summary, model_summary, training_flops, write_history
from safetax.training.trained_model import gather_weights, load_reference_copy, load_trained_model, saved_dtype
from safetax.training.trainer import SupervisedTrainer


def train(job: StepJob, report: Callable[[int, int, float], None]) -> dict[str, Any]:
    """Train one step's model and save its checkpoint and its loss curve.

    Args:
        job: the step.
        report: called with optimiser steps done, steps in all, and tokens per second.

    Returns:
        the step's summary on rank 0; an empty one on the others.

    Raises:
        UserError: the data, the settings or the checkpoint to resume from cannot be used.
    """
    training = restore_node(Training, job.identity["training"])
    layout = Layout.of(job.runtime)
    resumed = last_checkpoint(job.scratch, layout)
    tokenizer = load_tokenizer(job.identity, job.inputs)
    renderer = ChatRenderer(tokenizer, restore_node(Format, job.identity["format"]))
    objective = None if training.objective is None else objective_of(training.objective)
    bad_rows = BadRows.of(job.identity)
    examples = read_records(job.inputs["data"] / "examples.jsonl", Example)
    rows = training_rows(examples, renderer, training.max_tokens, training.objective, bad_rows)

    reference = load_reference_copy(job, training, tokenizer)
    arguments = training_arguments(training, job.runtime, job.identity["seed"], len(rows), job.scratch)
    model = load_trained_model(job, training, tokenizer, objective, reference, arguments)
    callback = ProgressCallback(job, report, resumed)
    trainer = callback.trainer = SupervisedTrainer(
        training,
        layout,
        rows,
        Collator(tokenizer.pad_token_id, objective is not None, model.packed, by_row=training.loss_mean == "rows"),
        model.term,
        model=model.model,
        args=arguments,
        callbacks=[callback],
    )
    trainer.train(resume_from_checkpoint=str(resumed.path) if resumed else None)

    count = callback.token_count()
    (memory,) = over_ranks([peak_memory()], "MAX")
    weights = gather_weights(trainer, training)
    summary: dict[str, Any] = {}
    if trainer.is_world_process_zero():
        value = None if objective is None else objective.name
        history = write_history(job.directory / "history.jsonl", trainer.state.log_history, value)
        flops = training_flops(model.model, count)
        summary = {
            "examples": len(rows),
            "tokens_per_epoch": sum(len(row.tokens) for row in rows),
            **bad_rows.summary(),
            **model_summary(training, model.model, trainer.optimizer),
            **loss_summary(training, history, value),
            **cost_summary(callback, count, flops, memory, layout, job.runtime["gpu_tflops"]),
            "optimizer_steps": trainer.state.global_step,
            "resumed_at": resumed.step if resumed else 0,
            **({"note": renderer.template.unstoppable} if renderer.template.unstoppable else {}),
        }
        model.base.config.use_cache = True
        saved = model.model.unload() if training.lora else model.base
        ends = [end[0] for end in renderer.ends if len(end) == 1]
        save_model(job.directory / MODEL, saved, tokenizer, weights, saved_dtype(training), ends)
        summary |= drift_summary(job, model.base, {token for row in rows for token in row.tokens})
    trainer.accelerator.wait_for_everyone()  # no launcher may end the rank that saves
    return summary
