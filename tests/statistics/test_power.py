from __future__ import annotations

import random

import pytest

from safetax.statistics import detectable_difference, intervals, p_value
from safetax.statistics.estimates import Sample


def test_a_difference_that_is_told_as_found_is_found_about_as_often_as_it_says() -> None:
    n, discordance = 200, 0.2
    effect = detectable_difference([(n, 1)], discordance)
    draw = random.Random(1)
    found = 0
    for _ in range(200):
        sides: list[dict[str, float]] = [{}, {}]
        for prompt in range(n):
            where = draw.random()
            lost = where < (discordance + effect) / 2
            gained = not lost and where < discordance
            sides[0][str(prompt)], sides[1][str(prompt)] = float(not gained), float(not lost)
        found += p_value(intervals([Sample({"a": sides[0]}, {"a": sides[1]})])) < 0.05
    assert 0.7 < found / 200 < 0.9


def test_more_prompts_more_samples_and_more_benchmarks_find_less() -> None:
    once = detectable_difference([(30, 1)])
    assert once == pytest.approx(2.8016 * (0.2 / 30) ** 0.5, abs=1e-4)
    assert detectable_difference([(120, 1)]) == pytest.approx(once / 2)
    assert once / 2**0.5 < detectable_difference([(30, 8)]) < once
    assert detectable_difference([(30, 1), (30, 1)]) == pytest.approx(once / 2**0.5)
