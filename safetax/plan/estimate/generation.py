"""What generation and local judges take: memory, and GPU-hours where every budget is used up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from safetax.config.needs import ServedModel
from safetax.config.runtime import Runtime
from safetax.config.schema import Config, Shape
from safetax.models.gpus import visible_gpus
from safetax.plan.estimate.memory import CONTEXT, GIB, Memory, parameters_in
from safetax.plan.estimate.stage import Estimate, EstimatedStep, gpu_memory, named, root_model, shape_of
from safetax.plan.estimate.workload import prompts_of
from safetax.plan.requirements import needs_of_step
from safetax.store.status import Store
from safetax.store.step import Step

PROMPT_TOKENS = 512
"""Assumed of the longest prompt."""
ROOM, LEAST_ROOM = 0.25, 4e9
"""What a copy needs besides its weights, as the engine itself reckons: a share of them, at least so many bytes."""


@dataclass(frozen=True)
class Serving:
    """How a model is served."""

    tensor_parallel: int
    """GPUs of one copy."""
    replicas: int
    weights: float
    """Bytes of weights on each GPU."""
    cache_token: float
    """Bytes of keys and values of one token on each GPU."""
    sequences: int
    """Sequences of the greatest length whose keys and values fit at a time."""
    longest: int
    memory: float
    """Bytes of a GPU that the engine takes."""

    @property
    def fits(self) -> bool:
        """Whether weights and the caches of one sequence fit."""
        return self.sequences > 0

    @property
    def gpus(self) -> int:
        """GPUs that are at work."""
        return self.tensor_parallel * self.replicas

    def tokens_per_second(self, batch: int, gpu_memory: float, memory_reads: float) -> float:
        """Return the tokens that all replicas write in a second.

        Each token of a batch has weights and caches read once; sequences are half as long as the longest on average.

        Args:
            batch: sequences that are asked for at once, of which as many are at work as there is room for.
            gpu_memory: bytes of a GPU.
            memory_reads: how often the engine has a GPU read its whole memory in a second.
        """
        active = max(1, min(batch, 2 * self.sequences))
        read = self.weights + active * self.cache_token * self.longest / 2
        return self.replicas * active * memory_reads * gpu_memory / read


def serving(
    shape: Shape, dtype: str, longest: int, gpus: int, gpu_memory: float, share: float, tensor_parallel: int | None
) -> Serving:
    """Return how a model is served: by as many copies as there is room for.

    Args:
        shape: of the model.
        dtype: ``float32`` or ``bfloat16``.
        longest: tokens of the longest sequence.
        gpus: GPUs that share the work.
        gpu_memory: bytes of one.
        share: of its memory that the engine takes.
        tensor_parallel: GPUs of one copy; None: the smallest power of two with room to work.
    """
    size = 4 if dtype == "float32" else 2
    count, memory = parameters_in(shape) * size, gpu_memory * share
    allowed = [width for width in (1, 2, 4, 8, 16, 32) if width <= max(gpus, 1) and shape.heads % width == 0]
    roomy = [width for width in allowed if count / width + max(ROOM * count / width, LEAST_ROOM) <= memory]
    width = tensor_parallel or (roomy or allowed[-1:])[0]
    cache = 2 * shape.layers * max(shape.kv_heads / width, 1) * shape.head_dim * size
    free = memory - count / width - CONTEXT * (2 if width > 1 else 1)
    sequences = max(0, int(free // (cache * longest)))
    return Serving(width, max(1, gpus // width), count / width, cache, sequences, longest, memory)


def generation_estimate(works: list[EstimatedStep], store: Store, done: Sequence[Mapping[str, Any]]) -> Estimate:
    """Return what it takes to answer prompt sets.

    Args:
        works: generate steps of one model, engine and runtime.
        store: where finished prompt sets lie.
        done: manifests of finished steps, the newest last.
    """
    first = works[0]
    config, shape, runtime = first.config, first.shape, first.config.runtime
    engine, model = first.step.identity["engine"]["kind"], _model(first.step)
    budgets = [_budget(work.step) for work in works]
    longest = _longest(config, max(budgets))
    limit = gpu_memory(runtime)
    served = _served(model, shape, longest, runtime)
    tokens = 0
    for work, budget in zip(works, budgets, strict=True):
        count = prompts_of(work.step, store, work.size)
        tokens += count * work.step.identity["sampling"]["repeats"] * budget
    measured = _rate(config.model.id, engine, done)
    rate = measured or served.tokens_per_second(runtime.generate_batch, limit, model.memory_reads)
    together = max(1, min(runtime.generate_batch, served.sequences))
    parts = {
        "weights": served.weights,
        f"keys and values of {together} x {longest:,} tokens": together * served.cache_token * longest,
        "CUDA": CONTEXT * (2 if served.tensor_parallel > 1 else 1),
    }
    models = len({str(work.step.inputs.get("model") and work.step.inputs["model"].key) for work in works})
    known = "measured" if measured else "assumed"
    return Estimate(
        title=f"evaluation: {len(works)} prompt sets, {models} checkpoint{'s' * (models > 1)}, by {engine}, "
        f"{named(config.model, shape)}",
        steps=tuple(work.step for work in works),
        place=_place(served, model.dtype),
        memory=Memory(parts),
        limit=served.memory,
        gpus=served.gpus,
        hours=tokens / rate * served.gpus / 3600,
        time=f"at most {tokens / 1e6:,.1f} million tokens, every budget used up, at {rate:,.0f} a second ({known})",
        disk=tokens * 4.0,
        remedies=() if served.fits else tuple(_more_gpus(model, shape, longest, runtime)),
    )


def _place(served: Serving, dtype: str) -> str:
    copies = f"{served.replicas} cop{'ies' if served.replicas > 1 else 'y'}"
    each = f"{served.tensor_parallel} GPU{'s' * (served.tensor_parallel > 1)}"
    return f"{copies} on {each}{' each' * (served.replicas > 1)}, {dtype}"


def _model(step: Step) -> ServedModel:
    model = needs_of_step(step).served_model
    assert model is not None, "estimated are the engines that load the model where they run"
    return model


def _served(
    model: ServedModel, shape: Shape, longest: int, runtime: Runtime, gpus: int | None = None, width: int | None = None
) -> Serving:
    """Return how a model is served by so many GPUs, ``width`` of them for each copy, or as the runtime says."""
    if not model.sharded:
        return serving(shape, model.dtype, longest, 1, gpu_memory(runtime), 1.0, 1)
    there = gpus or runtime.gpus or len(visible_gpus()) or runtime.devices
    share, width = runtime.engine_memory, width or runtime.tensor_parallel
    return serving(shape, model.dtype, longest, there, gpu_memory(runtime), share, width)


def gpus_of_a_copy(step: Step, config: Config) -> int:
    """Return how many GPUs hold one copy of the model that a step generates with; 1 where its shape is not known."""
    shape = shape_of(config.model) if config.model.start == "pretrained" else None
    if shape is None:
        return 1
    longest, runtime = _longest(config, _budget(step)), config.runtime
    return _served(_model(step), shape, longest, runtime, runtime.slurm.gpus_per_node).tensor_parallel


def _more_gpus(model: ServedModel, shape: Shape, longest: int, runtime: Runtime) -> list[str]:
    """Return the settings with which a copy fits."""
    if not model.sharded:
        return ["engine=vllm, which spreads a copy over several GPUs"]
    for width in (1, 2, 4, 8, 16):
        if shape.heads % width == 0 and _served(model, shape, longest, runtime, width, width).fits:
            gpus = f" runtime.gpus={width}" if runtime.gpus and width > runtime.gpus else ""
            return [f"runtime.tensor_parallel={width}{gpus}"]
    return []


def _longest(config: Config, budget: int) -> int:
    return min(PROMPT_TOKENS + budget, config.model.context or 10**9)


def _budget(step: Step) -> int:
    sampling = step.identity["sampling"]
    thinking = sampling["thinking_budget"]
    return thinking if sampling.get("one_phase") and thinking else thinking + sampling["answer_budget"]


def _rate(model: str | None, engine: str, done: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the tokens a second of a model's newest finished generation, of all its steps that were at work together.

    A step that was interrupted has the tokens of all its attempts, and the rate of the last one.
    """
    by_key = {f"{manifest['kind']}/{manifest['fingerprint']}": manifest for manifest in done}
    alike = [
        manifest
        for manifest in done
        if manifest["kind"] == "generate"
        and manifest["summary"].get("engine") == engine
        and root_model(manifest, by_key) == model
    ]
    if not alike:
        return None
    newest = alike[-1]
    began = _finished(newest) - timedelta(seconds=newest["provenance"]["seconds"])
    together = [
        manifest
        for manifest in alike
        if manifest["inputs"].get("model") == newest["inputs"].get("model") and _finished(manifest) >= began
    ]
    return sum(manifest["summary"].get("tokens_per_second", 0.0) for manifest in together) or None


def _finished(manifest: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(manifest["provenance"]["finished"])


def judging_estimate(works: list[EstimatedStep], store: Store, done: Sequence[Mapping[str, Any]]) -> Estimate:
    """Return what it takes to judge responses with a model on this machine.

    Args:
        works: score steps of one judge.
        store: where finished prompt sets lie.
        done: manifests of finished steps; of no use here.
    """
    first = works[0]
    model, runtime = first.needs.local_model, first.config.runtime
    assert model is not None, "estimated are the judges that load a model"
    size = 4 if model.dtype == "float32" else 2
    count, length = model.parameters * 1e9, model.max_tokens
    texts = 0
    for work in works:
        responses = work.step.inputs["responses"]
        texts += prompts_of(responses, store, work.size) * responses.identity["sampling"]["repeats"]
    # A judge of that size has a hidden size of about 4,096, of which some ten copies are alive in a layer.
    batch = runtime.judge_batch * min(length, 1024) * 4096 * 10 * size
    limit = gpu_memory(runtime)
    half = count * 2 + batch / 2 + CONTEXT
    ways = [f"dtype=bfloat16 of the judge: {half / GIB:.1f} GiB"] if size == 4 and half <= limit else []
    one = count * size + batch / runtime.judge_batch + CONTEXT
    ways += [f"runtime.judge_batch=1: {one / GIB:.1f} GiB"] if one <= limit else []
    return Estimate(
        title=f"judge: {first.step.identity['judge']['kind']} ({model.parameters:.1f} billion parameters)",
        steps=tuple(work.step for work in works),
        place=f"a copy on each GPU, {model.dtype}",
        memory=Memory({"weights": count * size, "a batch": float(batch), "CUDA": CONTEXT}),
        limit=limit,
        gpus=1,
        hours=2 * count * texts * length / (runtime.gpu_tflops * 1e12 * runtime.mfu) / 3600,
        time=f"{texts:,} texts of at most {length:,} tokens",
        remedies=tuple(ways),
    )
