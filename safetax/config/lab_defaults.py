"""Defaults of the lab: what a run takes from the node ``lab`` because nobody chose it, and which models may.

Hyper-parameters and budgets that fit a model of the lab ruin a real one in a few steps. Where such a value is a
default it is written as a reference to the node ``lab``; a preset, an option or an override that sets it writes another
value in its place. So whatever still refers to ``lab`` was chosen by nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from safetax.config.flat import leaves
from safetax.config.messages import show
from safetax.config.references import origin
from safetax.config.schema import Config
from safetax.config.sections import unused_sections
from safetax.errors import ConfigError

NODE = "lab."
CHOSEN_BY = {"alignment": "", "reasoning": "", "evaluation": "evaluation", "dataset": "recipes"}
"""Sections that may hold such defaults, and the group whose option, where a command names one, chooses them."""


def lab_defaults(written: Mapping[str, Any], resolved: Mapping[str, Any], named: Collection[str]) -> dict[str, Any]:
    """Return the values of a configuration that are defaults of the lab, by their key paths.

    Args:
        written: the configuration, in which references stand as they were written.
        resolved: the same with values in their places.
        named: groups of which the command names an option.
    """
    sections = {section: resolved[section] for section, group in CHOSEN_BY.items() if group not in named}
    return {path: value for path, value in leaves(sections) if origin(written, path).startswith(NODE)}


def check_lab_defaults(config: Config, defaults: Mapping[str, Any]) -> None:
    """Check that a model which is none of the lab takes no default of the lab that a step of the run depends on.

    Args:
        config: of the run.
        defaults: its values that are defaults of the lab.

    Raises:
        ConfigError: it would; names presets, and the keys to set.
    """
    if config.model.world == "lab" or config.stage.name == "prefetch":
        return
    unused = unused_sections(config)
    trains = config.stage.name != "prepare"
    used = {
        "alignment": trains and "dataset" not in unused,
        "reasoning": "reasoning" not in unused and (trains or "model" not in unused),
        "evaluation": "benchmark" not in unused,
        "dataset": "dataset" not in unused,
    }
    taken = {path: value for path, value in defaults.items() if used[path.partition(".")[0]]}
    if taken:
        listed = ", ".join(f"{path}={show(value)}" for path, value in taken.items())
        raise ConfigError(
            f"model.name={config.model.name}: these values fit the lab alone, and nobody chose them for a model of "
            f"another world: {listed}. Choose a preset, such as +experiment=single_80gb or +experiment=single_24gb, "
            "beside the model; or set each of them (evaluation=sound sets the evaluation's, recipes=paper the data's)."
        )
