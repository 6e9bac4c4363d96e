"""The cells of the simulation: what is measured, how many prompts, repeats and seeds, and the true rates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

Spread = Literal["none", "symmetric", "skewed"]
FEW = 5
"""Expected events below which a cell is named: an interval then holds the truth much more often, or by luck."""
MIX = (30, 500, 198)
"""AIME24, MATH500 and GPQA-Diamond."""


@dataclass(frozen=True)
class Cell:
    """One setting of the simulation.

    Attributes:
        what: a mean over benchmarks, a paired difference of two, or one over seeds.
        sizes: prompts of each benchmark.
        rates: true rate of the first side and, where there are two, of the second, the same in each benchmark.
        correlation: between the two sides of a prompt, or between the repeats of a problem where there is one side.
        repeats: samples of each prompt.
        seeds: runs, each with its own difference.
        spread: how the seeds' true differences are spread around their mean.
        sd: their standard deviation.
    """

    what: Literal["mean", "difference", "seeds"]
    sizes: tuple[int, ...]
    rates: tuple[float, ...]
    correlation: float = 0.0
    repeats: int = 1
    seeds: int = 1
    spread: Spread = "none"
    sd: float = 0.0

    @property
    def name(self) -> str:
        """The cell in words."""
        parts = ["/".join(map(str, self.sizes)), " - ".join(f"{100 * rate:g}" for rate in self.rates) + " %"]
        parts += [f"r {self.correlation:g}"] if self.correlation else []
        parts += [f"x{self.repeats}"] if self.repeats > 1 else []
        parts += [f"{self.seeds} seeds, {self.spread} {100 * self.sd:g}"] if self.seeds > 1 else []
        return f"{self.what} {', '.join(parts)}"

    @property
    def truth(self) -> float:
        """What the interval should hold."""
        return self.rates[0] if len(self.rates) == 1 else self.rates[0] - self.rates[1]


NAMED = (
    Cell("mean", MIX, (0.95,)),
    Cell("mean", MIX, (0.6,)),
    Cell("difference", (200,), (0.02, 0.0)),
    Cell("difference", (200,), (1.0, 0.99)),
    Cell("difference", MIX, (0.6, 0.5), 0.5),
    Cell("seeds", (200,), (0.7, 0.6), 0.5, seeds=3, spread="skewed", sd=0.1),
)
"""Cells that are also measured with a percentile bootstrap over prompts or, over seeds, Student's t."""


def cells() -> Iterator[Cell]:
    """Yield all cells."""
    yield from NAMED
    rates = (0.0, 0.01, 0.05, 0.3, 0.6, 0.9, 0.99, 1.0)
    for sizes, rate in product([(30,), (200,), (1000,), (30, 198), MIX], rates):
        yield Cell("mean", sizes, (rate,))
    for size, repeats, correlation in product((30, 198), (4, 16), (0.0, 0.3, 0.9)):
        for rate in (0.05, 0.5, 0.9):
            yield Cell("mean", (size,), (rate,), correlation, repeats)
    yield Cell("mean", MIX, (0.8,), 0.5, 8)
    pairs = (
        (0.5, 0.5),
        (0.6, 0.5),
        (0.9, 0.8),
        (0.95, 0.95),
        (0.3, 0.05),
        (0.8, 0.2),
        (0.02, 0.0),
        (0.0, 0.0),
        (1.0, 0.99),
    )
    for sizes, pair, correlation in product([(30,), (200,), (1000,), (30, 198), MIX], pairs, (0.0, 0.5, 0.9)):
        if not correlation or (min(pair) > 0 and max(pair) < 1):
            yield Cell("difference", sizes, pair, correlation)
    for size, repeats, pair in product((30, 198), (4, 16), ((0.5, 0.5), (0.9, 0.8), (0.6, 0.5))):
        yield Cell("difference", (size,), pair, 0.5, repeats)
    spreads: tuple[tuple[Spread, float], ...] = (("none", 0.0), ("symmetric", 0.05), ("skewed", 0.05), ("skewed", 0.1))
    for seeds, size, (spread, sd), correlation in product((3, 5, 10), (30, 200), spreads, (0.0, 0.3, 0.9)):
        yield Cell("seeds", (size,), (0.7, 0.6), correlation, seeds=seeds, spread=spread, sd=sd)
