"""What MLflow is to hold of a run."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from safetax.report.mlflow.entry import downsample
from tests.support.documents import checkpoint_of
from tests.support.tracked import World, connect, record


def test_a_long_curve_is_given_in_points_spread_over_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safetax.report.mlflow.entry.CURVE_POINTS", 4)
    world.track()
    aligned = checkpoint_of(world.results, role="aligned")
    history = [json.loads(line) for line in (world.outputs / "train" / aligned.id / "history.jsonl").open()]
    (run,) = world.logged(run=record(next(path for path in world.runs if record(path)["epochs"]))["id"])
    curve = connect(world.outputs).get_metric_history(run.info.run_id, "train/aligned/loss")
    rows = [next(row for row in range(len(history)) if history[row]["step"] == point.step) for point in curve]
    assert len(rows) == 4 < len(history)
    assert (rows[0], rows[-1]) == (0, len(history) - 1)
    gaps = [after - before for before, after in pairwise(rows)]
    assert max(gaps) - min(gaps) <= 1
    assert [point.value for point in curve] == [history[row]["loss"] for row in rows]


@pytest.mark.parametrize(("length", "most"), [(3, 4), (4, 4), (5, 4), (1000, 2), (1000, 100)])
def test_downsampling_keeps_both_ends_and_never_more_than_asked(length: int, most: int) -> None:
    kept = list(downsample(range(length), most))
    assert len(kept) == min(length, most) == len(set(kept))
    assert (kept[0], kept[-1]) == (0, length - 1)
