"""Optimiser steps, warm-up and shares of rows are those of the numbers as they were written, not of their floats."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from safetax.config.training import Training, exact
from safetax.training.arguments import optimizer_steps


def training(epochs: float, batch: int = 8) -> Training:
    return Training(epochs=epochs, learning_rate=1e-3, global_batch=batch, max_tokens=8)


def test_a_float_that_lies_above_its_number_costs_no_step() -> None:
    assert 1.1 * 50 > 55
    assert optimizer_steps(training(1.1), 400) == 55
    assert optimizer_steps(training(1.1), 393) == 55  # a last batch that is not full is a step


@pytest.mark.parametrize("tenths", range(1, 100))
def test_tenths_of_epochs(tenths: int) -> None:
    epochs = float(f"{tenths // 10}.{tenths % 10}")
    for steps in range(1, 130):
        assert optimizer_steps(training(epochs), 8 * steps) == max(1, math.ceil(Fraction(tenths * steps, 10)))


def test_numbers_as_they_are_written() -> None:
    assert exact(0.05) == Fraction(1, 20)
    assert exact(5) == 5
    assert exact(1e-05) == Fraction(1, 100_000)
    assert math.ceil(exact(0.07) * 100) == 7 < math.ceil(0.07 * 100)
