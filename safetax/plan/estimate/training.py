"""What trainings take: memory against what a GPU has, disk, and GPU-hours; and what makes one fit that does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from safetax.config.identity import restore_node
from safetax.config.runtime import Runtime
from safetax.config.schema import Config, Shape
from safetax.config.training import Lora, Training
from safetax.plan.estimate.memory import (
    GIB,
    Placement,
    checkpoint_bytes,
    lora_parameters,
    parameters_in,
    placement_of,
    training_memory,
)
from safetax.plan.estimate.stage import Estimate, EstimatedStep, gpu_memory, named, root_model, shape_of
from safetax.plan.estimate.workload import TokenCount, training_rows
from safetax.store.status import Store
from safetax.training.objectives import needs_reference

MEMORY_READS = 15.0
"""How often a training has a GPU read its whole memory in a second; assumed."""
LINK, NETWORK = 200e9, 25e9
"""Bytes a second that reach a GPU from the others, of one node and of several; assumed."""
FEWEST_STEPS = 10
"""Optimiser steps from which a finished training says how long others take: the first ones warm up."""
MOST = 3
"""How many ways are named."""
CHUNK = 2048
"""Tokens whose logits are held at a time, where the loss is to be cut."""


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
        if manifest["summary"].get("optimizer_steps", FEWEST_STEPS) < FEWEST_STEPS:
            continue
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


def remedies(shape: Shape, training: Training, placement: Placement, limit: float, key: str) -> list[str]:
    """Return up to three ways to make a training fit, the ones with the fewest changes first.

    Args:
        shape: of the model.
        training: what does not fit.
        placement: where it does not.
        limit: bytes of a GPU.
        key: key of the training's hyper-parameters.
    """
    changes = list(_changes(training, placement, key))
    found: list[tuple[set[str], str]] = []
    for number in range(1, len(changes) + 1):
        for chosen in combinations(changes, number):
            texts = {text for text, _ in chosen}
            names = [name for _, settings in chosen for name in settings]
            if len(names) > len(set(names)) or any(smaller <= texts for smaller, _ in found):
                continue  # two set the same thing, or fewer will do
            settings = {name: value for _, changed in chosen for name, value in changed.items()}
            tried = replace(training, lora=settings.pop("lora", training.lora))
            memory = training_memory(shape, tried, replace(placement, **settings))
            if memory.total <= limit:
                host = f" (with {memory.host / GIB:,.0f} GiB of each node's memory)" if memory.host else ""
                found.append((texts, f"{' '.join(text for text, _ in chosen)}: {memory.total / GIB:.1f} GiB{host}"))
                if len(found) == MOST:
                    return [text for _, text in found]
    return [text for _, text in found]


def _changes(training: Training, placement: Placement, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what can be changed, the least costly first: as a user writes it, and what it sets."""
    tokens = placement.micro_batch * training.max_tokens
    if not placement.gradient_checkpointing:
        yield "runtime.gradient_checkpointing=true", {"gradient_checkpointing": True}
    if placement.micro_batch > 1:
        yield "runtime.micro_batch=1", {"micro_batch": 1}
    if min(placement.loss_chunk or tokens, tokens) > CHUNK:
        yield f"runtime.loss_chunk={CHUNK}", {"loss_chunk": CHUNK}
    sharded = training.optimizer == "adamw"
    if placement.zero < 3 and placement.devices > 1 and sharded:
        yield "runtime.zero=3", {"zero": 3}
    more = [devices for devices in (2, 4, 8, 16, 32, 64) if devices > placement.devices]
    for devices in (devices for devices in more if training.global_batch % devices == 0):
        zero = "" if placement.zero == 3 else " runtime.zero=3"
        if sharded:
            fewer = min(placement.micro_batch, training.global_batch // devices)
            yield f"runtime.devices={devices}{zero}", {"devices": devices, "zero": 3, "micro_batch": fewer}
    if placement.offload == "none" and sharded:
        zero = "" if placement.zero else " runtime.zero=2"
        yield f"runtime.offload=optimizer{zero}", {"offload": "optimizer", "zero": placement.zero or 2}
    if placement.offload != "all" and sharded:
        zero = "" if placement.zero == 3 else " runtime.zero=3"
        yield f"runtime.offload=all{zero}", {"offload": "all", "zero": 3}
    if training.lora is None:
        yield f"{key}.lora={{rank:16}} (another training)", {"lora": Lora()}
