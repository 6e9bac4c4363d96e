"""Tax against distribution shift, and the correlation that is claimed of it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from safetax.results.document import Results
from safetax.results.shifts import find_shifts, rank_correlation
from tests.support.documents import beside, edited, with_curves, without
from tests.support.synthetic_methods import METHODS


def test_the_correlation_is_spearman_s() -> None:
    from scipy.stats import spearmanr

    draw, groups = random.Random(3), list(range(8))
    for _ in range(20):
        x, y = ([float(draw.randrange(6)) for _ in groups] for _ in range(2))  # with ties, which have their mean rank
        found, expected = rank_correlation(x, y, groups), spearmanr(x, y)
        assert found is not None and found.value == pytest.approx(expected[0])
    assert rank_correlation([1.0] * 8, list(range(8)), groups) is None, "nothing to rank"


def test_the_correlation_resamples_methods_and_claims_nothing_of_three() -> None:
    x = [1.0, 1.1, 2.0, 2.1, 5.0, 5.1, 9.0, 9.1, 14.0, 14.2]
    y = [1.0, 2.0, 4.0, 3.0, 9.0, 12.0, 8.0, 30.0, 50.0, 45.0]
    groups = [number // 2 for number in range(10)]
    found = rank_correlation(x, y, groups)
    assert found is not None and (found.n, found.groups) == (10, 5)
    assert found.low is not None and found.high is not None
    assert -1 <= found.low < found.value < found.high <= 1
    assert rank_correlation(x, y, groups) == found
    alone = rank_correlation(x, y, list(range(10)))
    assert alone is not None and alone.low is not None
    assert alone.high is not None and (alone.high - alone.low) < (found.high - found.low), "runs are no methods"
    assert rank_correlation(x[:6], y[:6], groups[:6]) is None
    certain = rank_correlation([1, 2, 3, 4], [1, 2, 3, 4], "abcd")
    assert certain is not None and certain.value == 1.0
    assert certain.low is None and certain.high is None, "four points in order are no certainty"


def test_the_shift_is_told_at_the_epochs_that_most_methods_share(few: Results) -> None:
    (shifts,) = find_shifts(few).settings
    assert shifts.name == "" and shifts.epochs == 5.0 and len(shifts.points) == 10 and len(shifts.chosen) == 5
    assert shifts.correlation is not None and (shifts.correlation.n, shifts.correlation.groups) == (10, 5)
    refined = next(p for p in shifts.chosen if few.curves[p.curve].dataset == "dgr_direct_refusal")
    assert refined.before == pytest.approx(METHODS["dgr_direct_refusal"][5]) and refined.after.value < 2
    plain = next(p for p in shifts.chosen if few.curves[p.curve].dataset == "safechain")
    token = METHODS["safechain"][4]
    assert plain.before is None and plain.after.value == pytest.approx(token)
    assert plain.after.low == pytest.approx(0.96 * token, abs=1e-5), "two runs on the same data measure it once"
    variants = with_curves(few, (replace(curve, dataset="one") for curve in few.curves))
    assert find_shifts(variants).settings[0].correlation is None, "variants of one method are no methods"
    early = with_curves(few, (replace(c, points=c.points[:2]) if n else c for n, c in enumerate(few.curves)))
    assert find_shifts(early).settings[0].epochs == 1.0
    assert find_shifts(without(few, "shift")).points == []


def test_each_model_and_evaluation_has_a_shift_of_its_own(few: Results) -> None:
    (alone,) = find_shifts(few).settings
    assert alone.correlation is not None
    name = few.checkpoints[0].evaluation or ""
    one, other = find_shifts(beside(few, "large", name, 2)).settings
    assert (one.name, other.name) == ("lab", "large") and (one.epochs, other.epochs) == (5.0, 1.0)
    assert one.correlation == alone.correlation, "what another LRM makes of the data changes nothing"
    one, other = find_shifts(beside(few, "lab", "brief")).settings
    assert other.name == "brief" and one.name not in ("", "brief")
    assert one.correlation == other.correlation == alone.correlation
    three = find_shifts(beside(beside(few, "lab", "brief"), "large", "brief")).settings
    assert [setting.name for setting in three] == ["lab, no evaluation", "lab, brief", "large, brief"]
    assert all(len(point.runs) == 2 for setting in three[:2] for point in setting.points), (
        "seeds of the LRM stay together"
    )


def test_shifts_of_the_same_results_are_the_same_each_time(few: Results) -> None:
    assert find_shifts(edited(few, lambda document: None)) == find_shifts(few)
