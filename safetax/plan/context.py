"""How long a sequence a model can read, and which settings ask for a longer one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetax.config.schema import Config, Model
from safetax.errors import ConfigError


def context_of(model: Model) -> int | None:
    """Return the longest sequence of a model in tokens: as set, else of its configuration; None where none says it."""
    if model.context is not None:
        return model.context
    values: dict[str, Any] = model.architecture
    if model.start == "pretrained":
        values = _settings(Path(str(model.id)).expanduser() / "config.json")
    longest = values.get("max_position_embeddings")
    scaled = values.get("rope_scaling") is not None  # which may stretch it
    return longest if type(longest) is int and longest > 0 and not scaled else None


def _settings(path: Path) -> dict[str, Any]:
    """Return a model's configuration, empty where there is none to be read: that is told elsewhere."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def check_context(config: Config, unused: list[str]) -> None:
    """Raise ConfigError where a budget or a training's rows are longer than the model's longest sequence.

    Args:
        config: of a run.
        unused: key paths of the sections that no step of the run depends on.
    """
    context = context_of(config.model)
    if context is None:
        return
    asked: dict[str, int] = {}
    if "benchmark" not in unused:
        for path, sampling in (("evaluation", config.evaluation), ("evaluation.safety", config.evaluation.safety)):
            if sampling is not None:
                asked[f"{path}.thinking_budget"] = sampling.thinking_budget
                asked[f"{path}.answer_budget"] = sampling.answer_budget
    if "dataset" not in unused:
        for name in ("thinking_budget", "answer_budget"):
            asked[f"dataset.{name}"] = getattr(config.dataset, name, None) or 0
    for stage, path, training in config.trainings():
        if {"alignment": "dataset"}.get(stage, stage) not in unused:
            asked[f"{path}.max_tokens"] = training.max_tokens
    for key, tokens in asked.items():
        if tokens > context:
            raise ConfigError(
                f"{key}={tokens}: the model {config.model.name} reads at most {context} tokens (model.context); set it "
                f"to at most {context}, or model.context if you know better."
            )
