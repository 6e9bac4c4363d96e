"""What is known of a model and of the GPUs here without loading anything."""

from __future__ import annotations

from pathlib import Path

from safetax.config.runtime import Runtime
from safetax.config.schema import Model, Shape
from safetax.models.gpus import visible_gpus
from safetax.plan.estimate.memory import GIB, parameters_in
from safetax.store.manifest import read_json


def shape_of(model: Model) -> Shape | None:
    """Return a model's shape: from its configuration here, else from the ``config.json`` of a local folder."""
    if model.shape is not None or model.id is None:
        return model.shape
    return shape_in(Path(model.id).expanduser() / "config.json")


def shape_in(path: Path) -> Shape | None:
    """Return the shape that a ``config.json`` of transformers describes, or None."""
    values = read_json(path) or {}
    try:
        heads = values["num_attention_heads"]
        return Shape(
            layers=values["num_hidden_layers"],
            hidden=values["hidden_size"],
            intermediate=values["intermediate_size"],
            heads=heads,
            kv_heads=values.get("num_key_value_heads") or heads,
            head_dim=values.get("head_dim") or values["hidden_size"] // heads,
            vocabulary=values["vocab_size"],
            tied=bool(values.get("tie_word_embeddings", False)),
        )
    except (KeyError, TypeError):
        return None


def gpu_memory(runtime: Runtime) -> float:
    """Return the bytes of a GPU's memory: as set, else of the smallest that is here, else 80 GiB."""
    if runtime.gpu_memory is not None:
        return runtime.gpu_memory * GIB
    here = [gpu.memory for gpu in visible_gpus() if gpu.memory is not None]
    return min(here, default=80 * GIB)


def named(model: Model, shape: Shape) -> str:
    """Return a model's name with its size."""
    return f"{model.name} ({(model.parameters or parameters_in(shape) / 1e9):.1f} billion parameters)"
