"""Low-rank adapters: put into a model by peft, and merged into its weights when it is saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from safetax.config.messages import nearest, show
from safetax.config.training import Lora
from safetax.errors import UserError, require
from safetax.models.checkpoint import starting_config

PREFIX = "base_model.model."
"""What peft puts before the names of a model's tensors."""


def check_targets(model: Any, lora: Lora) -> None:
    """Check that a model, which may be without weights, has the layers that are to get adapters.

    Raises:
        UserError: a name in ``target_modules`` is no linear layer of the model; lists those that are.
    """
    linear = {name.rsplit(".", 1)[-1] for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    head = {
        name.rsplit(".", 1)[-1] for name, module in model.named_modules() if module is model.get_output_embeddings()
    }
    allowed = sorted(linear - head)
    unknown = [name for name in lora.target_modules if name not in allowed]
    if unknown:
        raise UserError(
            f"lora.target_modules={lora.target_modules}: '{unknown[0]}' cannot have an adapter."
            f"{nearest(unknown[0], allowed)} Allowed for this model are {', '.join(allowed)}."
        )


def check_start(identity: Mapping[str, Any], lora: Lora | None, tokenizer: Any) -> None:
    """Check, without its weights, that a starting model can be built and adapted.

    Args:
        identity: of the model.
        lora: adapters that it is to get; None: none.
        tokenizer: of the model.

    Raises:
        UserError: its architecture makes no model that writes text, or lacks a layer.
    """
    from transformers import AutoModelForCausalLM

    config = starting_config(identity, tokenizer)
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except Exception as error:  # transformers raises whatever sizes that do not fit make it stumble over
        named = f"model.architecture={show(identity['architecture'])}"
        what = named if identity["start"] == "random" else f"model.id={identity['id']}"
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(f"{what}: no model that writes text can be built of it ({first}); mend its settings.") from None
    if lora is not None:
        check_targets(model, lora)


def add_adapters(model: Any, lora: Lora, float32: bool) -> Any:
    """Return the model with low-rank adapters that are trained in place of its weights.

    Args:
        model: a model of transformers; its modules are replaced in place.
        lora: rank, scale, dropout and the linear layers that get an adapter.
        float32: keep the adapters in float32 where the weights are not.

    Raises:
        UserError: a name in ``target_modules`` is no linear layer of the model; lists those that are.
    """
    check_targets(model, lora)
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise require("peft") from None
    settings = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # pyright: ignore[reportArgumentType]  # a float does as well
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, settings, autocast_adapter_dtype=float32)


def merge_adapters(state: Mapping[str, torch.Tensor], lora: Lora) -> dict[str, torch.Tensor]:
    """Merge adapters into the weights and return the tensors of the plain model, by name.

    Args:
        state: tensors of a model that ``add_adapters`` returned, whole ones also where they were sharded.
        lora: the settings that it was made with.
    """
    found = {}
    for name, value in state.items():
        if ".lora_" in name:
            continue
        name = name.removeprefix(PREFIX)
        if name.endswith(".base_layer.weight"):
            layer = PREFIX + name.removesuffix(".base_layer.weight")
            down, up = (state[f"{layer}.lora_{part}.default.weight"].float() for part in ("A", "B"))
            value = (value.float() + lora.alpha / lora.rank * (up @ down)).to(value.dtype)
        found[name.replace(".base_layer.", ".")] = value
    return found
