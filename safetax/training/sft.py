"""One supervised fine-tuning from data and starting model to checkpoint: one rank's part of the train worker."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from safetax.config.identity import identity, restore_node
from safetax.config.messages import show
from safetax.config.schema import Format
from safetax.config.training import Training
from safetax.data.chat import ChatRenderer, TrainingRow
from safetax.errors import UserError
from safetax.models.checkpoint import MODEL, load_model, load_tokenizer, on_host, save_model
from safetax.records import Example, read_records
from safetax.store.job import StepJob
from safetax.training.batches import Collator, filler, tokenise
from safetax.training.cost import (
    dtypes,
    innermost,
    most_over_ranks,
    parameter_counts,
    peak_memory,
    total_over_ranks,
    training_flops,
)
from safetax.training.deepspeed_settings import check_zero
from safetax.training.lora import merged, with_adapters
from safetax.training.loss import use_chunked_loss
from safetax.training.objective_term import Term, use_term
from safetax.training.objectives import compares, objective_of
from safetax.training.packing import can_pack, use_packing
from safetax.training.reference_model import FrozenModel
from safetax.training.resume import Layout, last_checkpoint
from safetax.training.trainer import SupervisedTrainer, Watch, arguments_for

SHOWN = 20
"""Skipped rows that a summary names; it counts all."""


def weights_dtype(training: Training, runtime: dict[str, Any]) -> str:
    """Return the number format that the weights are loaded in.

    DeepSpeed makes its float32 masters itself, and weights that adapters are trained in place of need none.
    """
    if training.dtype == "float32" or (training.dtype == "bfloat16_mixed" and not (runtime["zero"] or training.lora)):
        return "float32"
    return "bfloat16"


def saved_dtype(training: Training) -> str:
    """Return the number format of the checkpoint that a training leaves."""
    return "float32" if training.dtype == "float32" else "bfloat16"


def train(job: StepJob, report: Callable[[int, int, float], None]) -> dict[str, Any]:
    """Train one step's model and save it; returns the step's summary on rank 0 and an empty one on the others.

    Args:
        job: the step.
        report: called with optimiser steps done, steps in all, and tokens per second.

    Raises:
        UserError: the data, the settings or the checkpoint to resume from cannot be used.
    """
    training = restore_node(Training, job.identity["training"])
    runtime, seed = job.runtime, job.identity["seed"]
    check_zero(training, runtime)
    layout = Layout.of(runtime)
    resumed = last_checkpoint(job.scratch, layout)
    tokenizer = load_tokenizer(job.identity, job.inputs)
    renderer = ChatRenderer(tokenizer, restore_node(Format, job.identity["format"]))
    examples = read_records(job.inputs["data"] / "examples.jsonl", Example)
    skipped: list[str] | None = [] if job.identity.get("on_bad_row") == "skip" else None
    objective = None if training.objective is None else objective_of(training.objective)
    concerns = None if objective is None else objective.concerns
    rows = tokenise(examples, renderer, training.max_tokens, skipped, concerns)
    if objective is not None:
        check_concerned(training, rows, examples)
    dtype, copy = weights_dtype(training, runtime), None
    if compares(training.objective) and training.lora is None:
        # Before transformers hears of ZeRO-3, which spreads whatever is loaded then: each rank has all of this one.
        copy = FrozenModel.copy(load_model(job.identity, job.inputs, tokenizer, dtype, seed))
    # Before the model is loaded: ZeRO-3 spreads it while it is.
    arguments = arguments_for(training, runtime, seed, len(rows), job.scratch)
    if copy is not None:
        copy.model.to(arguments.device)
    shell = load_model(job.identity, job.inputs, tokenizer, dtype, seed)
    packed = arguments.per_device_train_batch_size > 1 and can_pack(shell.config)
    if packed:
        for one in [shell] if copy is None else [shell, copy.model]:
            use_packing(one)
    model = adapted(shell, training, runtime)
    term = None
    if objective is not None:
        adapters_off = FrozenModel(shell, model) if compares(training.objective) and copy is None else None
        term = Term(objective, copy or adapters_off, in_step=adapters_off is not None and layout.zero == 3)
    use_loss(shell, training, runtime, term)
    watch = Watch(job, report, resumed)
    trainer = watch.trainer = SupervisedTrainer(
        training,
        layout,
        len(rows),
        Collator(tokenizer.pad_token_id, term is not None, packed, by_row=training.loss_mean == "rows"),
        term,
        model=model,
        args=arguments,
        train_dataset=rows if layout.ranks == 1 else [*rows, filler(tokenizer.pad_token_id)],
        callbacks=[watch],
    )
    trainer.train(resume_from_checkpoint=str(resumed.path) if resumed else None)
    seconds = watch.before.seconds + watch.seconds
    work = watch.before.work + total_over_ranks(trainer.work)
    memory = most_over_ranks(peak_memory())
    state = gathered(trainer, training)
    summary: dict[str, Any] = {}
    if trainer.is_world_process_zero():
        shell.config.use_cache = True
        formats = dtypes(model, trainer.optimizer)
        trained, frozen = parameter_counts(model)
        flops = training_flops(model, work)
        saved = model.unload() if training.lora else shell
        ends = [end[0] for end in renderer.ends if len(end) == 1]
        save_model(job.directory / MODEL, saved, tokenizer, state, saved_dtype(training), ends)
        values = [] if objective is None else [objective.name]
        history = write_history(job.directory / "history.jsonl", trainer.state.log_history, values)
        cuda = torch.cuda.is_available()
        available = layout.ranks * runtime["gpu_tflops"] * 1e12
        summary = {
            "optimizer": type(innermost(trainer.optimizer)).__name__,
            "optimizer_steps": trainer.state.global_step,
            "resumed_at": resumed.step if resumed else 0,
            "examples": len(rows),
            **({} if skipped is None else {"skipped": len(skipped), "skipped_rows": skipped[:SHOWN]}),
            "tokens_per_epoch": sum(len(row.tokens) for row in rows),
            "parameters": frozen if training.lora else trained,
            "trained_parameters": trained,
            "dtypes": formats,
            "final_loss": history[-1]["loss"] if history else None,
            **({} if objective is None else {"objective": last_value(training, objective.name, history)}),
            "train_seconds": round(seconds, 3),
            "startup_seconds": round(watch.attempts.startup_seconds, 3),
            "lost_seconds": round(max(0.0, watch.attempts.train_seconds - seconds), 3),
            "attempts": watch.attempts.number,
            "tokens": work.tokens,
            "tokens_per_second": round(work.tokens / seconds, 1),
            "mfu": round(flops / seconds / available, 4) if cuda else None,
            "peak_memory_gb": round(memory, 3),
            "devices": layout.ranks,
            "zero": layout.zero,
            "gpu": torch.cuda.get_device_name() if cuda else None,
        }
    trainer.accelerator.wait_for_everyone()  # no launcher may end the rank that saves
    return summary


def check_concerned(training: Training, rows: Sequence[TrainingRow], examples: Sequence[Example]) -> None:
    """Raise UserError where a training's objective concerns none of its rows, so that it would do nothing."""
    if any(row.concerned for row in rows):
        return
    parts = sorted({str(example.meta["mixture"]) for example in examples if "mixture" in example.meta})
    raise UserError(
        f"objective={show(identity(training.objective))}: it concerns none of the {len(rows)} training rows, so it "
        f"would do nothing; the rows are of {'the parts ' + ', '.join(parts) if parts else 'no mixture'}. Choose rows "
        "that are there, or set objective=null."
    )


def adapted(model: Any, training: Training, runtime: dict[str, Any]) -> Any:
    """Return a loaded model as it is trained: with its adapters and its gradient checkpointing."""
    model.config.use_cache = False
    if runtime["gradient_checkpointing"]:
        model.gradient_checkpointing_enable()
    if training.lora is None:
        return model
    mixed_alone = training.dtype == "bfloat16_mixed" and not runtime["zero"]
    return with_adapters(model, training.lora, float32=mixed_alone or training.dtype == "float32")


def use_loss(model: Any, training: Training, runtime: dict[str, Any], term: Term | None) -> None:
    """Have a model compute the loss that it is trained with; adapters are on it by then."""
    if runtime["loss_chunk"] is not None or training.loss_mean == "rows":
        use_chunked_loss(model, runtime["loss_chunk"], term)
    elif term is not None:
        use_term(model, term)


def gathered(trainer: SupervisedTrainer, training: Training) -> dict[str, torch.Tensor] | None:
    """Return the weights to save, adapters merged, on rank 0; None: they are the model's own, or another rank saves.

    All ranks must ask: under ZeRO-3 each has a part.
    """
    state: Any = None
    if trainer.layout.zero == 3:
        state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    elif trainer.layout.zero or training.lora:
        unwrapped: Any = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        state = unwrapped.state_dict()
    if not trainer.is_world_process_zero() or state is None:
        return None
    state = on_host(state)
    return merged(state, training.lora) if training.lora else state


def write_history(path: Path, log: list[dict[str, Any]], values: Sequence[str]) -> list[dict[str, Any]]:
    """Write the loss curve, one JSON line per entry, and return its entries.

    Args:
        path: the file.
        log: what was logged.
        values: names of what an objective logs besides.
    """
    names = ("step", "epoch", "loss", "learning_rate", "grad_norm", *values)
    history = [entry for entry in log if "loss" in entry]
    with path.open("w") as file:
        for entry in history:
            kept = {key: entry[key] for key in names if key in entry}
            file.write(json.dumps(kept, sort_keys=True) + "\n")
    return history


def last_value(training: Training, name: str, history: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what a summary says of an objective: its settings, and its value in the last step that it concerned."""
    value = next((entry[name] for entry in reversed(history) if name in entry), None)
    return {**identity(training.objective), name: value}
