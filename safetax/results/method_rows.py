"""Rows of the table of methods: what each costs and brings, and what is known of its data, at one epoch count."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from safetax.results.alignment_data import Fallback, Perplexity, perplexity_over_runs
from safetax.results.document import Curve, CurvePoint, Results
from safetax.results.metrics import SAFETY_TAX
from safetax.results.pareto import fronts
from safetax.results.sample_counts import without_fewer
from safetax.statistics import Estimate, OverSeeds, over_seeds

Part = TypeVar("Part", Fallback, Perplexity)


@dataclass(frozen=True)
class MethodRow:
    """A method, which is a curve, at one epoch count."""

    curve: Curve
    point: CurvePoint
    after: OverSeeds | None
    """Perplexity of the data trained on under the LRM, token-weighted; over runs the geometric mean."""
    before: OverSeeds | None
    """The same before refinement."""
    fallback: OverSeeds | None
    """Share of rows, in %, whose refinement failed."""
    examples: tuple[int, ...]
    distinct: tuple[int, ...]
    front: tuple[float, ...]
    """Epoch counts at which the method is on its model's Pareto front."""

    @property
    def epochs(self) -> float:
        """The epoch count."""
        return self.point.epochs

    @property
    def on_front(self) -> bool:
        """Whether this row's own point is on the front."""
        return self.epochs in self.front


def method_rows(results: Results) -> list[MethodRow]:
    """Return a row for each method and epoch count, the methods with the least tax at their last epochs first.

    Runs on fewer samples of the same data are no methods of their own. Nothing is returned where nothing is known of
    the data, or of a single method's data no more than their size.
    """
    results = without_fewer(results)
    on: dict[int, list[float]] = {}
    for place in (place for places in fronts(results) for place in places):
        if place.curve is not None:
            on.setdefault(place.curve, []).append(place.epochs)
    groups = []
    for number, curve in enumerate(results.curves):
        points = [point for point in curve.points if point.epochs]
        front = tuple(sorted(on.get(number, [])))
        rows = [_row(curve, point, front, results) for point in points]
        groups += [rows] if rows else []
    rows = [row for group in sorted(groups, key=_place) for row in group]
    told = any(row.after or row.fallback for row in rows)
    named = any(checkpoint.method or checkpoint.data for checkpoint in results.checkpoints)
    return rows if told or (named and len(groups) > 1) else []


def last_rows(rows: Sequence[MethodRow]) -> list[MethodRow]:
    """Return each method's row at its last epoch count."""
    return [row for row in rows if row.point is row.curve.points[-1]]


def _place(rows: Sequence[MethodRow]) -> tuple[Any, ...]:
    tax, curve = rows[-1].point.scores.get(SAFETY_TAX), rows[-1].curve
    return curve.model, math.inf if tax is None else tax.mean, curve.label


def _row(curve: Curve, point: CurvePoint, front: tuple[float, ...], results: Results) -> MethodRow:
    checkpoints = results.of(point)
    data = [checkpoint.data for checkpoint in checkpoints if checkpoint.data]
    rates = [entry.fallback for entry in data] if len(data) == len(checkpoints) else []
    return MethodRow(
        curve,
        point,
        after=_shift([checkpoint.perplexity() for checkpoint in checkpoints]),
        before=_shift([checkpoint.perplexity("before") for checkpoint in checkpoints]),
        fallback=_rate(rates),
        examples=tuple(sorted({entry.examples for entry in data})),
        distinct=tuple(sorted({entry.distinct for entry in data})),
        front=front,
    )


def _shift(found: Sequence[Perplexity | None]) -> OverSeeds | None:
    held = _of_all(found, lambda part: part.token)
    return perplexity_over_runs(held) if held else None


def _rate(found: Sequence[Fallback | None]) -> OverSeeds | None:
    held = _of_all(found, lambda part: part.rate)
    return over_seeds([Estimate(part.rate, part.low, part.high) for part in held], scale=100.0) if held else None


def _of_all(found: Sequence[Part | None], value: Callable[[Part], float]) -> list[Part]:
    """Return what all runs have, and once what is of one set of data, however many runs were trained on it."""
    held = [entry for entry in found if entry is not None]
    if len(held) < len(found):
        return []
    return held[:1] if len({value(entry) for entry in held}) == 1 else held
