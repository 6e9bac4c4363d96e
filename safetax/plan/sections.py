"""Which sections of a configuration the steps of a run depend on, and which data sets a data set is made of."""

from __future__ import annotations

from typing import Any

from safetax.config.component_nodes import component_nodes
from safetax.config.components import component_module
from safetax.config.schema import Config


def unused_sections(config: Config) -> list[str]:
    """Return the parts of a configuration, as key paths, that no step of the run depends on."""
    stage = config.stage.name
    parts = [] if not config.model.reasoning and stage != "original" else ["reasoning"]
    if not (stage == "prepare" or config.stage.whole) or (config.epochs == 0 and config.stage.whole):
        parts.append("dataset")
    if stage == "prepare":
        parts += ["benchmark"] if on_policy(config.dataset) or config.shift else ["benchmark", "model"]
    if all(benchmark.measures == "accuracy" for benchmark in config.benchmark.values()) or stage == "prepare":
        parts.append("judge")
    return parts


def on_policy(dataset: Any) -> bool:
    """Whether a data set, or one that it is made of, is sampled from the LRM."""
    return is_sampled(dataset) or any(on_policy(part) for part in component_datasets(dataset).values())


def is_sampled(dataset: Any) -> bool:
    """Whether a data set itself is sampled from the LRM."""
    return getattr(component_module("datasets", dataset.kind), "ON_POLICY", False)


def component_datasets(dataset: Any) -> dict[str, Any]:
    """Return the data sets that a data set is made of, by key path; each is a step of its own, and an input."""
    found: dict[str, Any] = {}
    for path, node, package in component_nodes(dataset):
        if package == "datasets" and not any(path.startswith(f"{outer}.") for outer in found):
            found[path] = node
    return found
