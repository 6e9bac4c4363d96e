"""Bars, limits and lines of single seeds."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from safetax.report.plots.marks import limits, lrm_points, reach, seed_lines
from safetax.results.collect import collect
from safetax.results.document import Results


def test_bars_reach_from_the_mean_to_both_ends_of_the_interval(few: Results) -> None:
    scores = [point.scores["accuracy"] for point in few.curves[0].points]
    below, above = reach(scores)
    for score, down, up in zip(scores, below, above, strict=True):
        assert score.mean - down == pytest.approx(score.low) and score.mean + up == pytest.approx(score.high)


@pytest.mark.parametrize(("values", "within"), [((0, 100), (-3.5, 104)), ((50, 50), (40, 60)), ((99, 100), (80, 100))])
def test_limits_hold_what_is_drawn_and_are_never_close(
    values: tuple[float, float], within: tuple[float, float]
) -> None:
    axes = Figure().subplots()
    axes.plot([0, 1], values)
    low, high = limits(axes)
    assert low <= within[0] and within[1] <= high and high - low >= 20 and low >= -3.5 and high <= 104


def test_each_seed_has_a_line_from_its_own_lrm(three_seeds: Path) -> None:
    document = collect([three_seeds]).results
    curve = document.curves[0]
    lines = list(seed_lines(curve.points, ["accuracy"]))
    assert len(lines) == 3
    for place, (numbers, (values,)) in enumerate(lines):
        assert numbers == [0, 1, 2]
        assert values == [point.scores["accuracy"].values[place] for point in curve.points]
    assert len(lrm_points(document.curves)) == 1, "both data sets start from the same"
