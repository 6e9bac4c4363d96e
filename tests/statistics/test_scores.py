from __future__ import annotations

import math
import random
from dataclasses import replace
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from safetax.statistics import (
    Estimate,
    Sample,
    estimate,
    intervals,
    mean_of_benchmarks,
    mean_over_runs,
    over_seeds,
    p_value,
    paired_difference,
    wilson,
)


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


def test_a_benchmark_s_score_has_wilsons_interval_and_a_wider_one_of_rare_events() -> None:
    estimate = mean_of_benchmarks({"a": _values([1.0] * 140 + [0.0] * 60)})
    exact = wilson(140, 200)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((exact.value, exact.low, exact.high))
    rare, wilsons = mean_of_benchmarks({"a": _values([1.0] + [0.0] * 199)}), wilson(1, 200)
    # Brown, Cai and DasGupta 2001: -log(0.95) / n in place of a limit that covers 84 % of the rates near it.
    assert rare.low == pytest.approx(-math.log(0.95) / 200) and rare.low < wilsons.low
    assert rare.high == pytest.approx(wilsons.high)


def test_intervals_depend_neither_on_the_order_of_prompts_nor_on_their_names() -> None:
    draw = random.Random(5)
    first, second = ([draw.choice([0.0, 0.25, 0.5, 1.0]) for _ in range(60)] for _ in range(2))
    order = list(range(60))
    draw.shuffle(order)

    def shuffled(values: list[float]) -> dict[str, float]:
        return {f"other-{place}": values[place] for place in order}

    assert mean_of_benchmarks({"a": _values(first)}) == mean_of_benchmarks({"a": shuffled(first)})
    same = paired_difference({"a": _values(first)}, {"a": _values(second)})
    assert same == paired_difference({"a": shuffled(first)}, {"a": shuffled(second)})


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


@pytest.mark.parametrize(("gained", "lost", "n"), [(0, 0, 200), (12, 2, 50), (14, 5, 212), (1, 0, 40), (0, 9, 30)])
def test_a_paired_difference_has_tangos_interval(gained: int, lost: int, n: int) -> None:
    """At its limits the score is 1.96 standard errors away, under the shares that are then the likeliest."""
    first = _values([1.0] * gained + [0.0] * lost + [1.0] * (n - gained - lost))
    second = _values([0.0] * gained + [1.0] * lost + [1.0] * (n - gained - lost))
    found = paired_difference({"a": first}, {"a": second})
    for limit in (found.low, found.high):

        def unlikeliness(lost_share: float, limit: float = limit) -> float:
            shares = (lost_share + limit, lost_share, 1 - 2 * lost_share - limit)
            counts = (gained, lost, n - gained - lost)
            return -sum(
                count * math.log(max(share, 1e-300)) for count, share in zip(counts, shares, strict=True) if count
            )

        bounds = (max(0.0, -limit), (1 - limit) / 2)
        likeliest = minimize_scalar(unlikeliness, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
        variance = (2 * likeliest + limit * (1 - limit)) / n
        assert abs(found.value - limit) / math.sqrt(variance) == pytest.approx(1.96, abs=0.01)


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_rare_tax_on_one_side_alone_may_be_none(lost: int) -> None:
    """The score test of 3 of 3 has p = 0.083, so that the interval holds 0."""
    right = _values([1.0] * 200)
    wrong = _values([0.0] * lost + [1.0] * (200 - lost))
    tax = paired_difference({"a": right}, {"a": wrong})
    assert tax.value == pytest.approx(lost / 200) and tax.low < 0 < tax.value < tax.high


@pytest.mark.parametrize("discordant", [(4, 1), (9, 2), (30, 12), (5, 5), (1, 0)])
def test_a_p_value_is_the_score_test_s_and_agrees_with_the_interval(discordant: tuple[int, int]) -> None:
    gained, lost = discordant
    sides = [_values([first] * gained + [1 - first] * lost + [1.0] * 100) for first in (1.0, 0.0)]
    sample = Sample({"a": sides[0]}, {"a": sides[1]})
    p = p_value(intervals([sample]))
    z = abs(gained - lost) / math.sqrt(gained + lost)  # McNemar's
    assert p == pytest.approx(2 * (1 - NormalDist().cdf(z)), abs=1e-5)
    found = estimate(sample)
    assert (p < 0.05) == (not found.low <= 0 <= found.high)


def test_repeats_that_differ_are_worth_more_than_one_and_those_that_agree_no_more() -> None:
    draw = random.Random(6)
    alike = [float(draw.random() < 0.5) for _ in range(100)]
    apart = [sum(draw.random() < 0.5 for _ in range(8)) / 8 for _ in range(100)]
    widths = [found.high - found.low for found in (mean_of_benchmarks({"a": _values(each)}) for each in (alike, apart))]
    assert widths[0] == pytest.approx(0.192, abs=0.002) and 0.06 < widths[1] < 0.085


def test_rows_of_one_prompt_are_one_observation() -> None:
    draw = random.Random(7)
    single = _values([float(draw.random() < 0.3) for _ in range(50)])
    doubled = {f"{name}-{copy}": value for name, value in single.items() for copy in (0, 1)}
    groups = {name: name.rpartition("-")[0] for name in doubled}
    one, two = mean_of_benchmarks({"a": single}), mean_of_benchmarks({"a": doubled}, groups=groups)
    assert (one.low, one.high) == pytest.approx((two.low, two.high))
    paired = paired_difference({"a": doubled}, {"a": dict.fromkeys(doubled, 0.0)}, groups=groups)
    alone = paired_difference({"a": single}, {"a": dict.fromkeys(single, 0.0)})
    assert (paired.low, paired.high) == pytest.approx((alone.low, alone.high))


@given(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=40),
    st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=40),
    st.integers(1, 4),
)
@settings(max_examples=200)
def test_no_interval_is_of_zero_width_or_outside_what_can_be(
    first: list[float], second: list[float], copies: int
) -> None:
    one, other = _values(first), _values(second)
    groups = {f"p{number}": f"g{number // copies}" for number in range(40)}
    score = mean_of_benchmarks({"a": one, "b": other}, groups=groups)
    assert 0 <= score.low <= score.value <= score.high <= 1 and score.low < score.high
    tax = paired_difference({"a": one, "b": other}, {"a": other, "b": one}, groups=groups)
    assert -1 <= tax.low <= tax.value <= tax.high <= 1 and tax.low < tax.high
    runs = [Sample({"a": one}, {"a": other}, groups, str(seed)) for seed in range(1 + copies)]
    over = intervals(runs)(0.95)
    assert -1 <= over.low <= over.value <= over.high <= 1 and over.low < over.high


def test_over_seeds_prompts_that_all_share_do_not_average_out() -> None:
    """Five runs that agree on each prompt say no more of other prompts than one; five of their own prompts do."""
    draw = random.Random(8)
    prompts = [float(draw.random() < 0.5) for _ in range(100)]
    alone = mean_of_benchmarks({"a": _values(prompts)})
    shared = over_seeds(
        [alone] * 5, [Sample({"a": _values(prompts)}, None, {}, str(seed)) for seed in range(5)], scale=1
    )
    assert shared.high - shared.low == pytest.approx(alone.high - alone.low, rel=0.01)
    own = [Sample({"a": _values(prompts, f"{seed}-")}, None, {}, str(seed)) for seed in range(5)]
    apart = over_seeds([alone] * 5, own, scale=1)
    assert apart.high - apart.low < 0.6 * (alone.high - alone.low)


def test_over_seeds_alignment_seeds_of_one_lrm_are_a_cluster() -> None:
    draw = random.Random(9)
    rates = {"0": 0.3, "1": 0.5, "2": 0.7}

    def sample(unit: str) -> Sample:
        return Sample({"a": _values([float(draw.random() < rates[unit]) for _ in range(200)])}, None, {}, unit)

    nested = [sample(unit) for unit in rates for _ in range(4)]
    apart = [replace(each, unit=str(number)) for number, each in enumerate(nested)]
    clustered, independent = (intervals(samples)(0.95) for samples in (nested, apart))
    assert clustered.value == independent.value
    assert clustered.high - clustered.low > 2 * (independent.high - independent.low)


def test_over_seeds_there_are_mean_sample_deviation_and_the_interval_of_the_mean() -> None:
    result = over_seeds(
        [Estimate(value, value - 0.1, value + 0.1) for value in (2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0)]
    )
    assert result.mean == 5.0 and result.sd is not None
    assert math.isclose(result.sd, math.sqrt(32 / 7))
    half = 2.3646 * result.sd / math.sqrt(8)  # Student's, which is symmetric
    assert 3.0 < result.low < 5.0 - 0.9 * half and 5.0 + half < result.high < 9.0
    one = over_seeds([Estimate(3.0, 1.0, 4.0)])
    assert one.sd is None and (one.mean, one.low, one.high) == (3.0, 1.0, 4.0), "one seed has its own interval"


def test_a_mean_over_runs_has_an_interval_where_there_is_one_and_it_follows_the_skew() -> None:
    found = mean_over_runs([1.0, 2.0, 3.0])
    assert found is not None and found.value == 2.0
    assert found.high - 2.0 == pytest.approx(2.0 - found.low) and found.high - 2.0 > 4.302653 / math.sqrt(3)
    narrower = mean_over_runs([1.0, 2.0, 3.0], confidence=0.5)
    assert narrower is not None and narrower.high < found.high
    skewed = mean_over_runs([0.0, 0.5, 1.0, 1.5, 9.0])
    assert skewed is not None and skewed.high - skewed.value > 1.3 * (skewed.value - skewed.low)
    assert mean_over_runs([1.0]) is None
    assert mean_over_runs([1.0, 1.0, 1.0]) is None
