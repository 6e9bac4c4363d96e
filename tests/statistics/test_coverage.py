"""The simulation of ``bench.coverage`` in small: fewer experiments, and their chance as tolerance."""

from __future__ import annotations

import numpy as np
import pytest

from bench.coverage.bar import failures, least_possible, mean_of
from bench.coverage.cells import NAMED, Cell, cells
from bench.coverage.simulate import coverage

EXPERIMENTS = 400


def test_a_sample_of_the_cells_passes_the_bar() -> None:
    every = list(dict.fromkeys(cells()))
    chosen = [*NAMED, *(cell for cell in every[::7] if max(cell.sizes) < 1000)]
    found = [
        (cell, coverage(cell, EXPERIMENTS, np.random.default_rng([1, number]))) for number, cell in enumerate(chosen)
    ]
    assert failures(found, EXPERIMENTS) == []
    assert 0.94 < mean_of(found) < 0.97


def test_the_bar_finds_intervals_that_cover_too_seldom() -> None:
    cell = Cell("mean", (30, 500, 198), (0.95,))
    before = coverage(cell, 300, np.random.default_rng(1), baseline=True)
    assert before.share < 0.9
    assert any("under 92" in line for line in failures([(cell, before)], 300))


@pytest.mark.parametrize(
    ("cell", "least"),
    [
        (Cell("mean", (30,), (0.0,)), 1.0),  # one outcome alone
        (Cell("mean", (1000,), (0.5,)), 0.95),  # so many that 95 % can be hit
        (Cell("difference", (200,), (0.02, 0.0)), 0.952),  # 0 to 7 of 200
    ],
)
def test_the_least_possible_coverage_is_exact(cell: Cell, least: float) -> None:
    assert least_possible(cell) == pytest.approx(least, abs=0.006)
