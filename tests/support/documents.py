"""Looks things up in results documents, and makes documents that are a little different from collected ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from safetax.results.codec import from_json, to_json
from safetax.results.document import Checkpoint, Results


def checkpoint_of(results: Results, **wanted: Any) -> Checkpoint:
    """Return the one checkpoint that has these values."""
    (found,) = [c for c in results.checkpoints if all(getattr(c, key) == value for key, value in wanted.items())]
    return found


def edited(results: Results, change: Callable[[dict[str, Any]], Any]) -> Results:
    """Return the results as they are read from the JSON that ``change`` has edited."""
    document = to_json(results)
    change(document)
    return from_json(Results, document)
