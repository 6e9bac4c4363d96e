from __future__ import annotations

import math

import numpy as np
import pytest

from safetax.statistics import ratio_of_sums


def test_a_ratio_weighs_samples_by_their_size_and_says_nothing_of_one() -> None:
    assert ratio_of_sums({"a": (3.0, 2.0)}) is None
    assert ratio_of_sums({"a": (3.0, 2.0), "b": (6.0, 4.0)}) is None
    found = ratio_of_sums({"a": (3.0, 2.0), "b": (6.0, 1.0), "c": (1.0, 2.0)})
    assert found is not None and found.value == 2.0 and found.low < 2.0 < found.high
    assert found == ratio_of_sums({"x": (1.0, 2.0), "y": (6.0, 1.0), "z": (3.0, 2.0)})


@pytest.mark.parametrize("samples", [30, 300])
def test_its_interval_holds_the_truth_about_as_often_as_it_says(samples: int) -> None:
    """Rows of very different lengths, whose likelihood per token is skewed."""
    generator = np.random.default_rng(samples)
    trials, held = 400, 0
    for _ in range(trials):
        tokens = np.ceil(generator.lognormal(4.0, 0.7, samples))
        nats = tokens * generator.gamma(2.0, 0.4, samples)
        found = ratio_of_sums({str(n): (float(a), float(b)) for n, (a, b) in enumerate(zip(nats, tokens, strict=True))})
        assert found is not None
        held += found.low <= 0.8 <= found.high
    slack = 3 * math.sqrt(0.92 * 0.08 / trials)
    assert 0.92 - slack <= held / trials <= 0.99
