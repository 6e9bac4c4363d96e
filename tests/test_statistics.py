from __future__ import annotations

import math
import random

import pytest

from safetax.statistics import Estimate, mean_of_benchmarks, mean_over_runs, over_seeds, paired_difference, wilson


def _values(results: list[float], prefix: str = "p") -> dict[str, float]:
    return {f"{prefix}{index}": value for index, value in enumerate(results)}


# Newcombe 1998, Statistics in Medicine 17:857, table I, method 3 (Wilson without continuity correction).
@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_newcombes_published_intervals(successes: int, n: int, low: float, high: float) -> None:
    estimate = wilson(successes, n)
    assert (round(estimate.low, 4), round(estimate.high, 4)) == (low, high)
    assert estimate.value == successes / n


def test_wilson_is_symmetric_and_refuses_what_is_no_proportion() -> None:
    low, high = wilson(3, 50), wilson(47, 50)
    assert math.isclose(low.low, 1 - high.high) and math.isclose(low.high, 1 - high.low)
    for successes, n in [(0, 0), (3, 2), (-1, 2)]:
        with pytest.raises(ValueError):
            wilson(successes, n)


def test_the_bootstrap_of_one_proportion_is_near_its_wilson_interval_and_the_same_each_time() -> None:
    results = _values([1.0] * 140 + [0.0] * 60)
    estimate = mean_of_benchmarks({"a": results})
    assert estimate == mean_of_benchmarks({"a": results})
    exact = wilson(140, 200)
    assert estimate.value == exact.value
    assert abs(estimate.low - exact.low) < 0.01 and abs(estimate.high - exact.high) < 0.01


def test_a_mean_of_benchmarks_weighs_benchmarks_alike_whatever_their_size() -> None:
    estimate = mean_of_benchmarks({"small": _values([1.0] * 10), "large": _values([0.0] * 1000)})
    assert estimate.value == 0.5


def test_repeats_of_a_prompt_do_not_narrow_the_interval() -> None:
    draw = random.Random(1)
    means = [float(draw.random() < 0.5) for _ in range(100)]
    # Every repeat of a prompt agrees: 100 prompts are 100 observations, not 800.
    estimate = mean_of_benchmarks({"a": _values(means)})
    assert estimate.high - estimate.low > 0.17


def test_pairing_cancels_what_both_sides_share() -> None:
    draw = random.Random(2)
    lrm = [float(draw.random() < 0.5) for _ in range(200)]
    aligned = [value if index % 20 else 0.0 for index, value in enumerate(lrm)]
    paired = paired_difference({"a": _values(lrm)}, {"a": _values(aligned)})
    unpaired = paired_difference({"a": _values(lrm)}, {"a": _values(aligned, "q")})
    assert paired.value == pytest.approx(unpaired.value)
    assert paired.high - paired.low < 0.06 < 0.15 < unpaired.high - unpaired.low


def test_a_prompt_missing_on_one_side_leaves_the_value_the_difference_of_the_means() -> None:
    left, right = _values([1.0, 1.0, 0.0, 1.0]), _values([1.0, 0.0, 0.0, 1.0])
    del right["p0"]
    assert paired_difference({"a": left}, {"a": right}).value == pytest.approx(3 / 4 - 1 / 3)
    with pytest.raises(ValueError):
        paired_difference({"a": left}, {"b": right})


def test_where_all_prompts_agree_the_interval_is_wilsons_and_never_a_point() -> None:
    perfect = mean_of_benchmarks({"a": _values([1.0] * 50)})
    assert perfect.high == 1.0 and perfect.low == pytest.approx(wilson(50, 50).low)
    same = _values([1.0] * 50)
    difference = paired_difference({"a": same}, {"a": same})
    assert difference.value == 0.0 and difference.low == -difference.high < 0


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    draw = random.Random(3)
    trials, n = 300, 80
    held = {"wilson": 0, "mean": 0, "difference": 0}
    for trial in range(trials):
        first = [float(draw.random() < 0.8) for _ in range(n)]
        second = [value if draw.random() < 0.7 else float(draw.random() < 0.3) for value in first]
        other = [float(draw.random() < 0.4) for _ in range(n)]
        # Other ids in every trial, so that each has resamples of its own.
        values, seconds, others = (_values(results, f"t{trial}-") for results in (first, second, other))
        single = wilson(int(sum(first)), n)
        mean = mean_of_benchmarks({"a": values, "b": others})
        difference = paired_difference({"a": values}, {"a": seconds})
        held["wilson"] += single.low <= 0.8 <= single.high
        held["mean"] += mean.low <= 0.6 <= mean.high
        held["difference"] += difference.low <= 0.3 * (0.8 - 0.3) <= difference.high
    for name, count in held.items():
        assert 0.90 <= count / trials <= 0.99, (name, count / trials)


def test_the_spread_over_seeds_is_mean_sample_deviation_and_range() -> None:
    result = over_seeds([Estimate(value, 0.0, 10.0) for value in (2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0)])
    assert result.mean == 5.0 and result.sd is not None
    assert math.isclose(result.sd, math.sqrt(32 / 7)) and (result.low, result.high) == (2.0, 9.0)
    one = over_seeds([Estimate(3.0, 1.0, 4.0)])
    assert one.sd is None and (one.mean, one.low, one.high) == (3.0, 1.0, 4.0), "one seed has its own interval"


def test_a_mean_over_runs_has_students_interval_where_there_is_one() -> None:
    found = mean_over_runs([1.0, 2.0, 3.0])
    assert found is not None
    half = 4.302653 / math.sqrt(3)  # t of two degrees of freedom
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2.0 - half, 2.0 + half))
    narrower = mean_over_runs([1.0, 2.0, 3.0], confidence=0.5)
    assert narrower is not None and narrower.high - 2.0 == pytest.approx(0.816497 / math.sqrt(3))
    assert mean_over_runs([1.0]) is None
    assert mean_over_runs([1.0, 1.0, 1.0]) is None
