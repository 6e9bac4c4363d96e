"""Where the replicas of vLLM go: how many GPUs hold one copy of the model, and which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safetax.errors import UserError
from safetax.models.gpus import Gpu

ROOM, LEAST_ROOM = 0.25, 4e9
"""What a copy needs besides its weights, for keys and values and arithmetic: a share of the weights, at least so many
bytes."""


@dataclass(frozen=True)
class Size:
    """Sizes of a model, in bytes and tokens, from its configuration alone."""

    weights: float
    heads: int
    token: int
    """Keys and values of one token."""
    context: int | None


@dataclass(frozen=True)
class Placement:
    """The GPUs of each replica by the names in CUDA_VISIBLE_DEVICES; none: it runs on the CPU."""

    device: str
    replicas: tuple[tuple[str, ...], ...]

    @property
    def tensor_parallel(self) -> int:
        """How many devices hold one copy."""
        return max(1, len(self.replicas[0]))


def size_of(model: str, revision: str | None, dtype: str) -> Size:
    """Return the sizes of a model of the hub or the disk; no weight is loaded.

    Args:
        model: hub id or folder.
        revision: commit of the hub.
        dtype: of the weights when it runs.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(model, revision=revision, trust_remote_code=False)
    with torch.device("meta"):
        parameters = AutoModelForCausalLM.from_config(config).num_parameters()
    text = config.get_text_config()
    width = getattr(torch, dtype).itemsize
    heads = text.num_attention_heads
    head = getattr(text, "head_dim", None) or text.hidden_size // heads
    pairs = 2 * text.num_hidden_layers * (getattr(text, "num_key_value_heads", None) or heads)
    return Size(parameters * width, heads, pairs * head * width, getattr(text, "max_position_embeddings", None))


def place(size: Size, gpus: Sequence[Gpu], runtime: Mapping[str, Any]) -> Placement:
    """Return where the replicas go: as many as there is room for.

    Args:
        size: of the model.
        gpus: those that are there.
        runtime: ``gpus``, how many of them are used; ``tensor_parallel``, how many hold a copy; ``engine_memory``, the
            share of a GPU's memory that may be taken.

    Raises:
        UserError: the settings ask for GPUs that are not there, or the model fits on none.
    """
    wanted, parallel = runtime.get("gpus"), runtime.get("tensor_parallel")
    if wanted is not None and wanted > len(gpus):
        raise UserError(
            f"runtime.gpus={wanted}: there {'is' if len(gpus) == 1 else 'are'} {len(gpus)}; allowed is up to that "
            "number, or null for all."
        )
    used = list(gpus[:wanted])
    if not used and (parallel or 1) == 1:
        return Placement("cpu", ((),))
    if parallel is None:
        parallel = _fewest(size, used, runtime["engine_memory"])
    elif parallel > len(used) or size.heads % parallel:
        raise UserError(
            f"runtime.tensor_parallel={parallel} must be at most the {len(used)} GPUs that are used and divide the "
            f"model's {size.heads} attention heads; set such a number, or null for as few as the weights need."
        )
    groups = [used[at : at + parallel] for at in range(0, len(used) - parallel + 1, parallel)]
    return Placement(used[0].name, tuple(tuple(gpu.id for gpu in group) for group in groups))


def _fewest(size: Size, gpus: Sequence[Gpu], share: float) -> int:
    """Return the smallest power of two of GPUs that hold a copy with room to work, or the largest that hold it."""
    known = [gpu.memory for gpu in gpus if gpu.memory is not None]
    if not known:
        return 1
    usable = min(known) * share
    allowed = [n for n in (2**power for power in range(10)) if n <= len(gpus) and size.heads % n == 0]
    for number in allowed:
        weights = size.weights / number
        if weights + max(ROOM * weights, LEAST_ROOM) <= usable:
            return number
    if size.weights / allowed[-1] < usable:
        return allowed[-1]
    raise UserError(
        f"The model's weights take {size.weights / 1e9:.0f} GB, and {allowed[-1]} x {usable / 1e9:.0f} GB may be used "
        f"(runtime.engine_memory={share} of each GPU); use more GPUs, or raise runtime.engine_memory."
    )
