"""The parts of a configuration that no step of its run depends on."""

from __future__ import annotations

from safetax.config.needs import on_policy
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
