"""The same weights under several evaluations, such as the published one and a sounder one, and what that changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

from safetax.results.document import Checkpoint, EvaluatedAs, EvaluationPair
from safetax.results.metrics import SHARES
from safetax.results.scores import Measured, difference

FIRST = "paper"
"""The evaluation that the others are compared with, where it is among them."""


def compare_evaluations(
    checkpoints: Iterable[Checkpoint], measured: Mapping[str, Mapping[str, Measured]]
) -> tuple[EvaluationPair, ...]:
    """Return for each checkpoint that was evaluated in several ways the difference that the way makes, by pair of ways.

    Args:
        checkpoints: the checkpoints of a results document; ``weights`` says which are the same model.
        measured: what the headline judges measured, by checkpoint id and benchmark.

    Returns:
        pairs, whose ``differences`` leave out metrics of which the two have other benchmarks.
    """
    same: dict[tuple[Any, ...], dict[str, str]] = defaultdict(dict)
    for checkpoint in checkpoints:
        if checkpoint.evaluation is not None:
            key = (checkpoint.weights, checkpoint.role, checkpoint.lrm_seed, checkpoint.seed)
            same[key].setdefault(checkpoint.evaluation, checkpoint.id)
    pairs = []
    for by_name in same.values():
        for first, second in combinations(sorted(by_name, key=lambda name: (name != FIRST, name)), 2):
            before, after = by_name[first], by_name[second]
            found = {metric: difference(measured[after], measured[before], metric) for metric in SHARES}
            differences = {metric: score for metric, score in found.items() if score is not None}
            pairs.append(EvaluationPair(EvaluatedAs(first, before), EvaluatedAs(second, after), differences))
    return tuple(pairs)
