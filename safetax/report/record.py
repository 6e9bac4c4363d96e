"""What run records say: their settings, shared and differing, and the steps that they stand on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def flatten(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``(dotted key, value)`` for each leaf of nested mappings and lists; empty ones are leaves."""
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from flatten(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(node, list) and any(isinstance(item, Mapping | list) for item in node):
        for index, value in enumerate(node):
            yield from flatten(value, f"{prefix}.{index}")
    else:
        yield prefix, node


def show(value: Any) -> str:
    """Return a leaf as it would stand in YAML or on the command line."""
    return value or "''" if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def shared_and_own(records: Sequence[Mapping[str, Any]]) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    """Return the settings that all runs share, and for each run ``{"name", "overrides", "own"}``."""
    flat = [{key: show(value) for key, value in flatten(record["config"])} for record in records]
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


def steps_of(record: Mapping[str, Any]) -> list[str]:
    """Return the steps that a run record names, as ``kind/fingerprint``, each once."""
    named = list(record.get("steps", []))
    for checkpoint in record["checkpoints"]:
        if checkpoint.get("train"):
            named.append(f"train/{checkpoint['train']}")
        for evaluation in checkpoint["evaluations"]:
            named.append(f"prepare/{evaluation['prompts']}")
            named.append(f"generate/{evaluation['generate']}")
            named.extend(f"score/{fingerprint}" for fingerprint in evaluation["scores"].values())
    return list(dict.fromkeys(named))
