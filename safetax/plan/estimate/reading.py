"""What steps take that read: a model that reads data once (perplexity), and weights that are mixed on the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from safetax.config.schema import Config, Shape
from safetax.models.gpus import visible_gpus
from safetax.plan.estimate.memory import CONTEXT, GIB, Memory, parameters_in
from safetax.plan.estimate.stage import Estimate, EstimatedStep, gpu_memory, named, shape_of
from safetax.plan.estimate.workload import read_rows
from safetax.store.status import Store
from safetax.store.step import Step

BATCH_TOKENS, LOGITS = 32768, 1024
"""Tokens that are read at once, and whose logits are held at a time, as :mod:`safetax.training.perplexity` has it."""
DISK = 1e9
"""Bytes a second that a disk reads and writes; assumed."""


def perplexity_estimate(works: list[EstimatedStep], store: Store, done: Sequence[Mapping[str, Any]]) -> Estimate:
    """Return what it takes to read data once, forward passes alone.

    Args:
        works: perplexity steps of one model and number format.
        store: where finished data lie.
        done: manifests of finished steps.
    """
    first = works[0]
    config, shape, runtime = first.config, first.shape, first.config.runtime
    dtype = first.step.identity["dtype"]
    there = runtime.gpus or len(visible_gpus()) or runtime.devices
    limit, gpus = gpu_memory(runtime), _gpus(shape, dtype, there, gpu_memory(runtime))
    flops = tokens = 0.0
    read = [read_rows(work.step, store, done, work.size) for work in works]
    for rows in read:
        tokens += rows.count * rows.tokens
        attention = 4 * shape.layers * shape.heads * shape.head_dim * rows.tokens
        flops += rows.count * rows.tokens * (2 * parameters_in(shape) + attention)
    seconds = flops / (runtime.gpu_tflops * 1e12 * runtime.mfu)
    return Estimate(
        title=f"{_what(works)} read in {dtype}, {named(config.model, shape)}",
        steps=tuple(work.step for work in works),
        place=f"{gpus} GPU{'s' * (gpus > 1)}" + ", one after the other" * (gpus > 1),
        memory=Memory(_parts(shape, dtype, gpus)),
        limit=limit,
        gpus=gpus,
        hours=seconds * gpus / 3600,
        time=f"{tokens / 1e6:,.1f} million tokens once, {runtime.mfu:.0%} of {runtime.gpu_tflops:g} TFLOP/s "
        "(runtime.mfu)",
        disk=sum(200.0 * rows.count for rows in read),
    )


def _what(works: Sequence[EstimatedStep]) -> str:
    """Return in words what is read, and what for."""
    many = "s" * (len(works) > 1)
    if "traces" not in works[0].step.identity:
        return f"shift: {len(works)} data set{many}"
    models = len({step.key if (step := work.step.inputs.get("model")) else "" for work in works})
    return f"retention: {len(works)} set{many} of traces, by {models} checkpoint{'s' * (models > 1)},"


def gpus_to_read(step: Step, config: Config) -> int:
    """Return how many GPUs hold the model that a perplexity is measured under; 1 where its shape is not known."""
    shape = shape_of(config.model) if config.model.start == "pretrained" else None
    if shape is None:
        return 1
    runtime = config.runtime
    return _gpus(shape, step.identity["dtype"], runtime.gpus or runtime.slurm.gpus_per_node, gpu_memory(runtime))


def _gpus(shape: Shape, dtype: str, there: int, limit: float) -> int:
    """Return the fewest of the GPUs that are there over which a model fits, or all of them."""
    fits = (gpus for gpus in range(1, there) if sum(_parts(shape, dtype, gpus).values()) <= limit)
    return next(fits, max(there, 1))


def _parts(shape: Shape, dtype: str, gpus: int) -> dict[str, float]:
    size = 4 if dtype == "float32" else 2
    width = 2 * shape.intermediate + 4 * shape.hidden
    return {
        "weights": parameters_in(shape) * size / gpus,
        "one layer at work": float(BATCH_TOKENS * width * size),
        "logits": float(LOGITS * shape.vocabulary * (size + 4)),
        "CUDA": CONTEXT,
    }


def merge_estimate(works: list[EstimatedStep], store: Store, done: Sequence[Mapping[str, Any]]) -> Estimate:
    """Return what it takes to mix weights: two checkpoints are read, one is written, and no GPU is used.

    Args:
        works: merge steps of one model.
        store: of no use here.
        done: of no use here.
    """
    first = works[0]
    size = sum(parameters_in(work.shape) * _bytes_of_a_weight(work.step) for work in works)
    many = f"{len(works)} checkpoints" if len(works) > 1 else "a checkpoint"
    return Estimate(
        title=f"interpolation: {many}, {named(first.config.model, first.shape)}",
        steps=tuple(work.step for work in works),
        place="the host alone",
        memory=Memory({}),
        limit=gpu_memory(first.config.runtime),
        gpus=0,
        hours=0.0,
        time=f"{2 * size / GIB:,.0f} GiB to read and {size / GIB:,.0f} GiB to write and read again, about "
        f"{4 * size / DISK / 60:,.0f} minutes at {DISK / 1e9:g} GB a second (assumed)",
        disk=size,
    )


def _bytes_of_a_weight(merge: Step) -> int:
    return 4 if merge.inputs["model"].identity["training"]["dtype"] == "float32" else 2
