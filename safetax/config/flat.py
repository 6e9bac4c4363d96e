"""Nested settings as a flat list of dotted keys and values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ``(dotted key, value)`` for each leaf of nested settings; empty nodes and plain lists are leaves."""
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(node, list) and any(isinstance(item, Mapping | list) for item in node):
        for index, value in enumerate(node):
            yield from leaves(value, f"{prefix}.{index}")
    else:
        yield prefix, node


def as_text(value: Any) -> str:
    """Return a leaf as it would stand in YAML or on the command line."""
    return value or "''" if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def flatten(node: Any) -> dict[str, str]:
    """Return nested settings as one mapping from dotted key to the value as text."""
    return {key: as_text(value) for key, value in leaves(node)}
