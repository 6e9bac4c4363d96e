"""The Pareto front of safety and reasoning: which checkpoints no other one beats on both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from safetax.results.document import Checkpoint, Results
from safetax.results.metrics import ACCURACY, HARMFUL_SCORE

X, Y = HARMFUL_SCORE, ACCURACY


@dataclass(frozen=True)
class Place:
    """A point of the front: harmful score and accuracy in %, over seed means.

    ``curve`` is the number of its curve, or None for the LRM; ``epochs`` is 0 for the LRM.
    """

    harm: float
    accuracy: float
    curve: int | None
    epochs: float


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the numbers of the points that none beats, by harm and then by accuracy.

    A point is (harmful score, accuracy). Another one beats it that is as good on both, and better on one: equal points
    do not beat each other.
    """
    order = sorted(range(len(points)), key=lambda number: (points[number][0], -points[number][1]))
    kept: list[int] = []
    best: tuple[float, float] | None = None
    for number in order:
        if best is None or points[number][1] > best[1] or points[number] == best:
            best = points[number]
            kept.append(number)
    return kept


def fronts(results: Results) -> list[list[Place]]:
    """Return the front of each model (and evaluation setting) that has curves, by harm.

    The places are the curves' points with both scores, and each LRM once; intervals are not considered.
    """
    found: dict[tuple[Any, ...], dict[Any, Place]] = {}
    for number, curve in enumerate(results.curves):
        for point in curve.points:
            if {X, Y} <= point.scores.keys():
                key = (number, point.epochs) if point.epochs else point.checkpoints
                curve_of = number if point.epochs else None
                place = Place(point.scores[X].mean, point.scores[Y].mean, curve_of, point.epochs)
                found.setdefault(setting_of(results.of(point)[0]), {}).setdefault(key, place)
    listed = [list(places.values()) for places in found.values()]
    return [[places[each] for each in front([(place.harm, place.accuracy) for place in places])] for places in listed]


def setting_of(checkpoint: Checkpoint) -> tuple[Any, ...]:
    """Return what two checkpoints must share for their scores to be compared: the model, and how it was evaluated."""
    headline = (name for name, benchmark in checkpoint.benchmarks.items() if benchmark.headline)
    return checkpoint.model, checkpoint.evaluation, *sorted(headline)
