"""The table of metrics: that its parts belong together."""

from __future__ import annotations

from safetax.results.metrics import (
    BROKEN,
    DIFFERENCES,
    HEADLINE,
    METRICS,
    OF_METHODS,
    OF_PAGE,
    OF_REFINEMENT,
    SHARES,
    SIDE,
    measured_by,
    titles,
)


def test_every_list_is_of_known_metrics_each_once() -> None:
    for names in (HEADLINE, SIDE, OF_PAGE, OF_METHODS, OF_REFINEMENT):
        assert len(set(names)) == len(names) and set(names) <= METRICS.keys()
    assert set(HEADLINE) | set(SIDE) == METRICS.keys() and not set(HEADLINE) & set(SIDE)
    assert set(OF_PAGE) == {*HEADLINE, BROKEN}


def test_a_metric_is_a_share_a_difference_or_made_otherwise() -> None:
    assert not set(SHARES) & DIFFERENCES.keys()
    assert all(METRICS[name].unit == "points" for name in DIFFERENCES)
    assert all(METRICS[of].unit == "%" for of in DIFFERENCES.values())


def test_a_benchmark_measures_what_its_verdicts_say() -> None:
    assert measured_by("accuracy") == {"accuracy": "correct"}
    assert measured_by("harmful") == {"harmful_score": "harmful", "refusal": "refused"}
    assert measured_by("benign") == {"over_refusal": "refused", "help": "correct"}
    assert titles(["safety_tax"]) == {"safety_tax": "Safety tax"}
