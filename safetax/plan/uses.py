"""What later steps will make of data: noted where the data are prepared, and so checked before a model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from safetax.store.step import Step

USED = ("format", "max_tokens", "objective", "lora", "on_bad_row", "parts", "sampling", "context")
"""What a step that reads data needs to be checked against them."""
MODEL = ("id", "revision", "resolved", "start", "architecture", "tokenizer", "pad_token")
"""What of the starting model says how it is built and how its texts are tokenised, which no training changes."""


def note_use(data: Step, what: str, model: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Note with the step that prepares data what another step will make of them; what is noted already is left alone.

    Args:
        data: the step that prepares them.
        what: whose use it is, as a message says it.
        model: identity of the starting model.
        values: identity of the step that reads them.
    """
    use: dict[str, Any] = {key: values[key] for key in USED if values.get(key) is not None}
    if "sampling" in use:
        use["sampling"] = {**use["sampling"], "seed": 0}  # which no check depends on
    use["model"] = {key: model[key] for key in MODEL if key in model}
    uses: list[dict[str, Any]] = data.runtime.get("uses", [])
    if all({**each, "what": what} != {**use, "what": what} for each in uses):
        uses.append({**use, "what": what})


def without_uses(step: Step) -> Step:
    """Return a step that prepares data alone; whoever runs what reads them checks them then."""
    return replace(step, runtime={key: value for key, value in step.runtime.items() if key != "uses"})
