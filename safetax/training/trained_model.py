"""The model that is trained: loaded, with its adapters, its way through a batch, its loss, and the reference model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from safetax.config.training import Training
from safetax.models.checkpoint import load_model, on_host
from safetax.store.job import StepJob
from safetax.training.lora import add_adapters, merge_adapters
from safetax.training.loss import use_chunked_loss
from safetax.training.objective_term import ObjectiveTerm, ReferenceModel, use_objective_term
from safetax.training.objectives import Objective, needs_reference
from safetax.training.packing import can_pack, use_packing


@dataclass(frozen=True)
class TrainedModel:
    """A model that is ready to be trained.

    Args:
        model: what the Trainer trains: ``base``, or what peft made of it.
        base: the causal language model of transformers, whose weights are saved.
        term: of the objective; None: there is none.
        packed: whether it takes micro batches of rows that lie end to end.
    """

    model: Any
    base: Any
    term: ObjectiveTerm | None
    packed: bool


def load_reference_copy(job: StepJob, training: Training, tokenizer: Any) -> ReferenceModel | None:
    """Load a copy of the starting model where the objective needs one; with adapters the trained one serves.

    Before the Trainer's arguments, from which on ZeRO-3 shards whatever is loaded: each rank has all of this one.
    """
    if not needs_reference(training.objective) or training.lora is not None:
        return None
    model = load_model(job.identity, job.inputs, tokenizer, weights_dtype(training, job.runtime), job.identity["seed"])
    return ReferenceModel.of_copy(model)


def load_trained_model(
    job: StepJob,
    training: Training,
    tokenizer: Any,
    objective: Objective | None,
    reference: ReferenceModel | None,
    arguments: Any,
) -> TrainedModel:
    """Load a step's starting model and make it ready to be trained.

    Args:
        job: the step.
        training: its hyper-parameters.
        tokenizer: the model's.
        objective: what is minimised beside the cross-entropy; None: nothing.
        reference: a copy of the starting model, which is put on the training's device; None: there is none.
        arguments: the Trainer's.

    Raises:
        UserError: adapters or the loss do not go with the model.
    """
    runtime = job.runtime
    if reference is not None:
        reference.model.to(arguments.device)
    base = load_model(job.identity, job.inputs, tokenizer, weights_dtype(training, runtime), job.identity["seed"])
    packed = arguments.per_device_train_batch_size > 1 and can_pack(base.config)
    if packed:
        for model in [base] if reference is None else [base, reference.model]:
            use_packing(model)
    model = _with_adapters(base, training, runtime)
    term = None
    if objective is not None:
        disabled_adapters = None
        if needs_reference(training.objective) and reference is None:
            disabled_adapters = ReferenceModel(base, model)
        lockstep = disabled_adapters is not None and runtime["zero"] == 3
        term = ObjectiveTerm(objective, reference or disabled_adapters, lockstep)
    if runtime["loss_chunk"] is not None or training.loss_mean == "rows":
        use_chunked_loss(base, runtime["loss_chunk"], term)
    elif term is not None:
        use_objective_term(base, term)
    return TrainedModel(model, base, term, packed)


def _with_adapters(base: Any, training: Training, runtime: dict[str, Any]) -> Any:
    base.config.use_cache = False
    if runtime["gradient_checkpointing"]:
        base.gradient_checkpointing_enable()
    if training.lora is None:
        return base
    mixed_alone = training.dtype == "bfloat16_mixed" and not runtime["zero"]
    return add_adapters(base, training.lora, float32=mixed_alone or training.dtype == "float32")


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


def gather_weights(trainer: Any, training: Training) -> dict[str, torch.Tensor] | None:
    """Return the trained weights to save, adapters merged, in the host's memory of rank 0.

    All ranks must call: under ZeRO-3 each has a part.

    Args:
        trainer: a SupervisedTrainer whose training has ended.
        training: its hyper-parameters.

    Returns:
        tensors by name; None where the model's own are to be saved, and on all other ranks.
    """
    state: Any = None
    if trainer.layout.zero == 3:
        state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    elif trainer.layout.zero or training.lora:
        state = trainer.accelerator.unwrap_model(trainer.model_wrapped).state_dict()
    if not trainer.is_world_process_zero() or state is None:
        return None
    state = on_host(state)
    return merge_adapters(state, training.lora) if training.lora else state
