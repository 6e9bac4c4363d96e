"""How long a sequence a model can read, and which settings ask for a longer one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetax.config.needs import component_datasets, is_sampled
from safetax.config.schema import Config, Model, Sampling
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
                thinks = not sampling.one_phase and _thinks(config, sampling)
                asked |= _budgets((path, sampling.thinking_budget), (path, sampling.answer_budget), thinks)
    if "dataset" not in unused:
        asked |= _sampled(config, config.dataset, "dataset")
    for stage, path, training in config.trainings():
        if {"alignment": "dataset"}.get(stage, stage) not in unused:
            asked[f"{path}.max_tokens={training.max_tokens}"] = training.max_tokens
    for said, tokens in asked.items():
        if tokens > context:
            together = f", together {tokens}" if " and " in said else ""
            raise ConfigError(
                f"{said}{together}: the model {config.model.name} reads at most {context} tokens (model.context); stay "
                f"at {context} or below, or set model.context if you know better."
            )


def _thinks(config: Config, sampling: Sampling) -> bool:
    """Say whether a benchmark that is sampled so has its thinking opened, of which the budget is one of its own."""
    safety = config.evaluation.safety
    return bool(config.format.open_thinking) and any(
        benchmark.thinking
        and sampling is (config.evaluation if benchmark.measures == "accuracy" or not safety else safety)
        for benchmark in config.benchmark.values()
    )


def _sampled(config: Config, dataset: Any, path: str) -> dict[str, int]:
    """Return what the data sets that a data set is made of ask for, where the reasoning model itself writes them."""
    asked: dict[str, int] = {}
    if is_sampled(dataset):
        own = {name: getattr(dataset, name, None) for name in ("thinking_budget", "answer_budget")}
        budgets = [
            (path, value) if value is not None else ("evaluation", getattr(config.evaluation, name))
            for name, value in own.items()
        ]
        asked |= _budgets(budgets[0], budgets[1], bool(config.format.open_thinking))
    for name, part in component_datasets(dataset).items():
        asked |= _sampled(config, part, f"{path}.{name}")
    return asked


def _budgets(thinking: tuple[str, int], answer: tuple[str, int], together: bool) -> dict[str, int]:
    """Return the tokens that two budgets ask for, by how they are told; each is the path of its section, and tokens."""
    said = f"{thinking[0]}.thinking_budget={thinking[1]}", f"{answer[0]}.answer_budget={answer[1]}"
    both = {" and ".join(said): thinking[1] + answer[1]} if together and thinking[1] else {}
    return {said[0]: thinking[1], said[1]: answer[1], **both}
