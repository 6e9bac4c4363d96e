"""The Pareto front of safety and reasoning."""

from __future__ import annotations

import random

from safetax.results.document import Checkpoint, Curve, CurvePoint, PointScore, Results
from safetax.results.pareto import front, fronts
from tests.support.documents import with_curves


def test_the_front_holds_what_no_other_point_beats() -> None:
    assert front([]) == []
    assert front([(3.0, 50.0)]) == [0]
    assert front([(10, 90), (0, 50), (5, 40), (5, 80)]) == [1, 3, 0]
    assert front([(5, 80), (5, 70), (7, 80)]) == [0], "as safe or as accurate is not enough"
    assert front([(5, 80), (0, 90), (5, 80)]) == [1]
    assert front([(5, 80), (9, 10), (5, 80)]) == [0, 2], "equal points do not beat each other"


def test_the_front_is_what_comparing_every_pair_gives() -> None:
    draw = random.Random(0)
    for _ in range(200):
        points = [(draw.randrange(6), draw.randrange(6)) for _ in range(draw.randrange(1, 12))]
        kept = [
            number
            for number, (harm, accuracy) in enumerate(points)
            if not any(h <= harm and a >= accuracy and (h, a) != (harm, accuracy) for h, a in points)
        ]
        assert sorted(front(points)) == kept, points


def _measured(identity: str, evaluation: str = "lab") -> Checkpoint:
    plain = {"variant": "", "weights": identity, "dataset": None, "lrm": None, "benchmarks": {}, "scores": {}}
    return Checkpoint(identity, "lrm", "m", evaluation=evaluation, epochs=0.0, seed=None, lrm_seed=0, **plain)


def _curve(*points: tuple[float, str, float, float]) -> Curve:
    """A curve of (epochs, checkpoint, harmful score, accuracy)."""
    listed = []
    for epochs, checkpoint, *means in points:
        harm, accuracy = (PointScore(mean, None, mean, mean, (mean,), (1,), 0, 0) for mean in means)
        scores = {"harmful_score": harm, "accuracy": accuracy}
        listed.append(CurvePoint(epochs, ((0, 0),), (checkpoint,), "interval", scores))
    return Curve("m", "data", "", "data", tuple(listed))


def test_fronts_hold_a_shared_lrm_once_and_each_evaluation_apart() -> None:
    curves = (
        _curve((0, "lrm", 60, 90), (1, "a", 10, 80)),
        _curve((0, "lrm", 60, 90), (1, "b", 20, 70), (2, "c", 5, 30)),
        _curve((0, "other", 50, 95), (1, "d", 1, 94)),
    )
    checkpoints = (*map(_measured, ("lrm", "a", "b", "c")), *(_measured(name, "other") for name in ("other", "d")))
    results = Results(1, 0.95, checkpoints, curves, (), (), (), (), ())
    one, other = fronts(results)
    assert [(place.curve, place.epochs) for place in one] == [(1, 2), (0, 1), (None, 0)]
    assert [(place.curve, place.epochs) for place in other] == [(2, 1), (None, 0)]
    assert fronts(with_curves(results, ())) == []
