"""What run records say: their settings, shared and differing, and the steps that they stand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from safetax.config.flat import flatten


def shared_and_own(records: Sequence[Mapping[str, Any]]) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    """Return the settings that all runs share, and for each run ``{"name", "overrides", "own"}``."""
    flat = [flatten(record["config"]) for record in records]
    shared = {
        key: value
        for key, value in (flat[0] if flat else {}).items()
        if all(other.get(key) == value for other in flat[1:])
    }
    runs = [
        {
            "name": record["name"],
            "overrides": record.get("overrides", []),
            "own": sorted((key, value) for key, value in settings.items() if key not in shared),
        }
        for record, settings in zip(records, flat, strict=True)
    ]
    return sorted(shared.items()), runs


def made_by(checkpoint: Mapping[str, Any]) -> str | None:
    """Return the step that made the weights of a record's checkpoint, or None for a starting model as it is.

    A record of before other steps than trainings made weights names the training alone.
    """
    train = f"train/{checkpoint['train']}" if checkpoint.get("train") else None
    return checkpoint.get("step") or train


def steps_of(record: Mapping[str, Any]) -> list[str]:
    """Return the steps that a run record names, as ``kind/fingerprint``, each once."""
    named = list(record.get("steps", []))
    for checkpoint in record["checkpoints"]:
        named += [step for step in [made_by(checkpoint)] if step is not None]
        for evaluation in checkpoint["evaluations"]:
            named.append(f"prepare/{evaluation['prompts']}")
            named.append(f"generate/{evaluation['generate']}")
            named.extend(f"score/{fingerprint}" for fingerprint in evaluation["scores"].values())
    return list(dict.fromkeys(named))
