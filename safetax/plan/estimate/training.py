"""What trainings take: memory against what a GPU has, disk, and GPU-hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from safetax.config.identity import restore_node
from safetax.config.runtime import Runtime
from safetax.config.schema import Config, Shape
from safetax.config.training import Training
from safetax.plan.estimate.memory import (
    Placement,
    checkpoint_bytes,
    lora_parameters,
    parameters_in,
    placement_of,
    training_memory,
)
from safetax.plan.estimate.remedies import remedies
from safetax.plan.estimate.shapes import gpu_memory, named, shape_of
from safetax.plan.estimate.stage import Estimate, EstimatedStep, root_model
from safetax.plan.estimate.workload import TokenCount, training_rows
from safetax.store.status import Store
from safetax.training.objectives import needs_reference

MEMORY_READS = 15.0
"""How often a training has a GPU read its whole memory in a second; assumed."""
LINK, NETWORK = 200e9, 25e9
"""Bytes a second that reach a GPU from the others, of one node and of several; assumed."""


def resolve_offload(config: Config) -> str:
    """Return what ZeRO keeps on the host: as set, or for ``auto`` the least with which all trainings fit.

    Returns:
        ``none``, ``optimizer`` or ``all``.
    """
    runtime = config.runtime
    if runtime.offload != "auto":
        return runtime.offload
    shape = shape_of(config.model)
    if shape is None or not runtime.zero:
        return "none"
    trained = [(stage, training) for stage, _, training in config.trainings() if stage in runtime.distributed]
    limit = gpu_memory(runtime)
    choices = ["none", "optimizer", *(["all"] if runtime.zero == 3 else [])]
    for choice in choices:
        placements = [(training, placement_of(stage, training, runtime, choice)) for stage, training in trained]
        if all(training_memory(shape, training, place).total <= limit for training, place in placements):
            return choice
    return choices[-1]


def training_estimate(works: list[EstimatedStep], store: Store, done: Sequence[Mapping[str, Any]]) -> Estimate:
    """Return what it takes to train.

    Args:
        works: trainings of one stage, alike but for data, epochs and seed.
        store: where finished data lie.
        done: manifests of finished steps, the newest last.
    """
    first = works[0]
    config, shape, runtime = first.config, first.shape, first.config.runtime
    training = restore_node(Training, first.step.identity["training"])
    placement = placement_of(first.stage, training, runtime, resolve_offload(config))
    memory, limit = training_memory(shape, training, placement), gpu_memory(runtime)
    measured = _utilisation(config.model.id, done)
    speed = placement.devices * runtime.gpu_tflops * 1e12 * (measured or runtime.mfu)
    moved = seconds_moving(shape, training, placement, limit)
    seconds, data = 0.0, []
    for work in works:
        rows = training_rows(work.step, store, done)
        data.append(rows)
        examples = work.step.identity["training"]["epochs"] * rows.count
        arithmetic = examples * rows.tokens * flops_per_token(shape, training, placement, rows.tokens) / speed
        seconds += max(arithmetic, examples / placement.devices / placement.micro_batch * moved)
    model, unfinished = checkpoint_bytes(shape, training, placement.zero)
    what = f"adapters of rank {training.lora.rank}" if training.lora else "all weights"
    many = f"{len(works)} trainings of {what}" if len(works) > 1 else f"a training of {what}"
    fits = memory.total <= limit
    return Estimate(
        title=f"{first.stage}: {many} in {training.dtype}, {named(config.model, shape)}",
        steps=tuple(work.step for work in works),
        place=_place(placement, training),
        memory=memory,
        limit=limit,
        gpus=placement.devices,
        hours=seconds * placement.devices / 3600,
        time=_training_time(works, data, runtime, placement, measured, moved),
        disk=len(works) * model,
        # The newest checkpoint is there until the next one is whole.
        scratch=2 * unfinished,
        remedies=() if fits else tuple(remedies(shape, training, placement, limit, _key(first.stage))),
        host=memory.host,
    )


def _key(stage: str) -> str:
    return {"alignment": "alignment", "reasoning": "reasoning.training"}.get(stage, "model.pretraining.training")


def _place(placement: Placement, training: Training) -> str:
    parts = [f"{placement.devices} GPU{'s' * (placement.devices > 1)}"]
    parts += [f"{placement.nodes} nodes"] * (placement.nodes > 1)
    parts += [f"ZeRO-{placement.zero}"] * (placement.zero > 0)
    parts += [f"offload={placement.offload}"] * (placement.offload != "none")
    parts += ["gradient checkpointing"] * placement.gradient_checkpointing
    parts += [f"loss_chunk={placement.loss_chunk}"] * (placement.loss_chunk is not None)
    return ", ".join([*parts, f"micro batch {placement.micro_batch} x {training.max_tokens:,} tokens"])


def flops_per_token(shape: Shape, training: Training, placement: Placement, length: float) -> float:
    """Return what the hardware calculates for a token of a training, in floating-point operations.

    A forward pass takes 2 for each parameter and 4 x layers x queries x length for attention, a backward pass twice
    that, or once where adapters leave the weights alone; gradient checkpointing does the forward pass twice. So model
    flops are 6 N, and hardware flops with gradient checkpointing 8 N. An objective that compares with a frozen model
    does a forward pass of that one, here for all rows.
    """
    forward = 2 * parameters_in(shape) + 4 * shape.layers * shape.heads * shape.head_dim * length
    if training.lora is not None:
        forward += 2 * lora_parameters(shape, training.lora)
    return forward * (
        1 + (1 if training.lora else 2) + placement.gradient_checkpointing + needs_reference(training.objective)
    )


def _utilisation(model: str | None, done: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the share of a GPU's arithmetic that the newest finished training of a model used, recomputation included.

    Its manifest has the share that counts the model's flops alone.
    """
    by_key = {f"{manifest['kind']}/{manifest['fingerprint']}": manifest for manifest in done}
    for manifest in reversed(done):
        share = manifest["summary"].get("mfu") if manifest["kind"] == "train" else None
        if share and manifest["identity"]["training"].get("objective"):
            continue  # what a frozen model took of the time is not in its share
        if share and root_model(manifest, by_key) == model:
            again = manifest["provenance"].get("runtime", {}).get("gradient_checkpointing", False)
            adapters = manifest["identity"]["training"].get("lora") is not None
            done_of_model = 4 if adapters else 6
            return share * (done_of_model + 2 * again) / done_of_model
    return None


def seconds_moving(shape: Shape, training: Training, placement: Placement, gpu_memory: float) -> float:
    """Return the seconds that a forward and backward pass takes at least, however short its rows are.

    The weights are read three times, and four with gradient checkpointing; ZeRO-3 has them sent from the other GPUs
    for each of the first three, and gradients sent once.

    Args:
        shape: of the model.
        training: its hyper-parameters.
        placement: where it trains.
        gpu_memory: bytes of a GPU, from which the speed of its memory is assumed.
    """
    weights = parameters_in(shape) * (4 if training.dtype == "float32" else 2)
    read = (3 + placement.gradient_checkpointing) * weights / (MEMORY_READS * gpu_memory)
    sent = 0.0 if training.lora else weights
    if placement.zero >= 3:
        sent += 3 * weights
    return read + sent / (LINK if placement.nodes == 1 else NETWORK) * (placement.devices > 1)


def _training_time(
    works: list[EstimatedStep],
    data: list[TokenCount],
    runtime: Runtime,
    placement: Placement,
    used: float | None,
    moved: float,
) -> str:
    epochs = _span([work.step.identity["training"]["epochs"] for work in works])
    rows, tokens = _span([rows.count for rows in data]), _span([rows.tokens for rows in data])
    sources = ", ".join(sorted({rows.source for rows in data}))
    share = f"{used or runtime.mfu:.0%} of {runtime.gpu_tflops:g} TFLOP/s ({'measured' if used else 'runtime.mfu'})"
    again = ", recomputation included" * placement.gradient_checkpointing
    least = f"at least {moved:.1f} s for the weights to be moved in each pass"
    return f"{epochs} epochs of {rows} rows of {tokens} tokens ({sources}), {share}{again}, {least}"


def _span(values: Sequence[float]) -> str:
    low, high = (f"{value:,.0f}" if value >= 10 else f"{value:g}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
