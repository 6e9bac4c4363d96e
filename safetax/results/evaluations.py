"""The same weights under several evaluations, such as the published one and a sounder one, and what that changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from safetax.results.scores import MEASURES, Measured, difference

METRICS = tuple(metric for fields in MEASURES.values() for metric in fields)
FIRST = "paper"
"""The evaluation that the others are compared with, where it is among them."""


def compare_evaluations(
    checkpoints: Mapping[str, Mapping[str, Any]], measured: Mapping[str, Mapping[str, Measured]]
) -> list[dict[str, Any]]:
    """Return for each checkpoint that was evaluated in several ways the difference that the way makes.

    Args:
        checkpoints: the checkpoints of a results document by id; ``weights`` says which are the same model.
        measured: what the headline judges measured, by checkpoint id and benchmark.

    Returns:
        for each pair of evaluations ``first`` and ``second`` (each ``name`` and checkpoint ``id``) and ``differences``:
        metric -> second minus first in points, left out where the two have other benchmarks.
    """
    same: dict[tuple[Any, ...], dict[str, str]] = defaultdict(dict)
    for identity, checkpoint in checkpoints.items():
        if checkpoint["evaluation"] is not None:
            key = (checkpoint["weights"], checkpoint["role"], checkpoint["lrm_seed"], checkpoint["seed"])
            same[key].setdefault(checkpoint["evaluation"], identity)
    pairs = []
    for by_name in same.values():
        for first, second in combinations(sorted(by_name, key=lambda name: (name != FIRST, name)), 2):
            before, after = by_name[first], by_name[second]
            found = {metric: difference(measured[after], measured[before], metric) for metric in METRICS}
            pairs.append(
                {
                    "first": {"name": first, "id": before},
                    "second": {"name": second, "id": after},
                    "differences": {metric: score for metric, score in found.items() if score is not None},
                }
            )
    return pairs
