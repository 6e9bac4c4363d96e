"""Looks things up in results documents, and makes documents that are a little different from collected ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from safetax.results.codec import from_json, to_json
from safetax.results.document import Checkpoint, Curve, Results


def checkpoint_of(results: Results, **wanted: Any) -> Checkpoint:
    """Return the one checkpoint that has these values."""
    (found,) = [c for c in results.checkpoints if all(getattr(c, key) == value for key, value in wanted.items())]
    return found


def edited(results: Results, change: Callable[[dict[str, Any]], Any]) -> Results:
    """Return the results as they are read from the JSON that ``change`` has edited."""
    document = to_json(results)
    change(document)
    return from_json(Results, document)


def without(results: Results, *keys: str) -> Results:
    """Return the results without some keys of their checkpoints, as they were before they were known."""

    def drop(document: dict[str, Any]) -> None:
        for checkpoint in document["checkpoints"]:
            for key in keys:
                checkpoint.pop(key, None)

    return edited(results, drop)


def with_curves(results: Results, curves: Iterable[Curve]) -> Results:
    """Return the results with other curves."""
    return replace(results, curves=tuple(curves))


def beside(results: Results, model: str, evaluation: str, epochs: int = 3) -> Results:
    """Return the results with the same runs under another LRM or evaluation, at fewer epoch counts."""

    def add(document: dict[str, Any]) -> None:
        checkpoints, curves = json.loads(json.dumps([document["checkpoints"], document["curves"]]))
        for each in checkpoints:
            each |= {"id": f"{each['id']}-{model}", "model": model, "evaluation": evaluation}
            for held in (each.get("shift") or {}).values():
                for value in ("token", "low", "high") if held else ():
                    held["all"][value] *= 10
        for curve in curves:
            curve |= {"model": model, "points": curve["points"][:epochs]}
            for point in curve["points"]:
                point["checkpoints"] = [f"{name}-{model}" for name in point["checkpoints"]]
        document["checkpoints"] += checkpoints
        document["curves"] += curves

    return edited(results, add)
