"""The panels over epochs."""

from __future__ import annotations

from typing import Any

from safetax.report.plots.epochs import draw_panels
from safetax.report.plots.style import LIGHT, themed
from safetax.results.document import Results


def test_panels_share_the_lrm_and_hold_every_mean(few: Results) -> None:
    with themed(LIGHT):
        (axes,) = draw_panels(few, {"accuracy": "Reasoning Accuracy"}, LIGHT).axes
    drawn: dict[str, Any] = {str(line.get_label()): line.get_ydata() for line in axes.get_lines()}
    for curve in few.curves:
        assert list(drawn[curve.label]) == [point.scores["accuracy"].mean for point in curve.points]
    assert list(drawn["LRM"]) == [few.curves[0].points[0].scores["accuracy"].mean]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "1", "5"]


def test_panels_that_are_compared_have_one_scale(few: Results) -> None:
    both = {"harmful_score": "Harmful Score", "accuracy": "Reasoning Accuracy"}
    with themed(LIGHT):
        alone = [axes.get_ylim() for axes in draw_panels(few, both, LIGHT).axes]
        shared = [axes.get_ylim() for axes in draw_panels(few, both, LIGHT, same_scale=True).axes]
    assert shared == [(min(low for low, _ in alone), max(high for _, high in alone))] * 2
