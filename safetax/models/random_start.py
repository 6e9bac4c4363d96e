"""The configuration of a model with random weights: the settings of ``model.architecture``, checked by transformers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from safetax.config.messages import nearest, show
from safetax.errors import UserError

PATH = "model.architecture"
OLDER_NAMES = ("rope_theta", "rope_scaling")
"""Settings that transformers still takes and keeps under other names."""


def configuration(architecture: Mapping[str, Any], **tokens: Any) -> Any:
    """Return transformers' configuration of an architecture.

    Args:
        architecture: ``model_type`` and settings of that type.
        tokens: settings that follow from the tokenizer.

    Raises:
        UserError: there is no such type, it has no such setting, or a value does not fit; names key and value.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import CONFIG_MAPPING

    settings = dict(architecture)
    model_type = settings.pop("model_type")
    known = list(CONFIG_MAPPING.keys())
    if model_type not in known:
        raise UserError(
            f"{PATH}.model_type={show(model_type)}: transformers knows no such model."
            f"{nearest(str(model_type), known)} Set it to the model_type of a config.json, such as qwen3 or llama."
        )
    kind = CONFIG_MAPPING[model_type]
    names = {field.name for field in dataclasses.fields(kind)} | set(kind.attribute_map) | set(OLDER_NAMES)
    for name, value in settings.items():
        if name not in names:
            raise UserError(
                f"{PATH}.{name}={show(value)}: a {model_type} has no such setting.{nearest(name, names, PATH)} "
                f"Allowed are {', '.join(sorted(names))}."
            )
    try:
        config = kind(**settings, **tokens)
    except (StrictDataclassError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{PATH}={show(dict(architecture))}: a {model_type} cannot be made of it. {reason}") from None
    heads, groups = (getattr(config, name, None) for name in ("num_attention_heads", "num_key_value_heads"))
    if isinstance(heads, int) and isinstance(groups, int) and (groups < 1 or heads % groups):
        raise UserError(
            f"{PATH}.num_key_value_heads={groups}: it must divide num_attention_heads={heads}; set one of the two."
        )
    return config
