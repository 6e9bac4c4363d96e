"""Runs on ever fewer samples of the same data: series over the number of samples, apart from curves over epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from safetax.results.document import Curve, CurvePoint, Results

FEWEST = 3
"""Counts that make a series; two are shown as two curves like any others."""


@dataclass(frozen=True)
class Series:
    """One data set at several sample counts, all at the same number of epochs."""

    model: str
    label: str
    epochs: float
    steps: bool
    """Whether all counts took the same optimiser steps, the samples being repeated; else the same epochs."""
    counts: tuple[int, ...]
    """Distinct samples of each point, ascending; where runs of a point differ, of most of them."""
    points: tuple[CurvePoint, ...]
    """The curves' points, in the order of ``counts``."""
    curves: tuple[Curve, ...]

    @property
    def name(self) -> str:
        """The label and what was held equal."""
        return f"{self.label}, equal {'steps' if self.steps else 'epochs'}"


def find_series(results: Results) -> list[Series]:
    """Return the series with at least three sample counts, each at the most epochs at which it has the most counts."""
    alike: dict[tuple[str, str, str], list[Curve]] = {}
    for curve in results.curves:
        if curve.series is not None:
            alike.setdefault((curve.model, curve.dataset, curve.series), []).append(curve)
    found = [(series, name) for (*_, name), curves in alike.items() if (series := _series(curves, results))]
    names = [(each.model, each.name) for each, _ in found]
    return [
        replace(each, label=f"{each.label} ({series})") if names.count((each.model, each.name)) > 1 and series else each
        for each, series in found
    ]


def _series(curves: Sequence[Curve], results: Results) -> Series | None:
    """Return the series of curves that differ in their sample counts alone, if they have enough of these."""
    at: dict[float, list[tuple[int, set[int], CurvePoint]]] = {}
    for point in (point for curve in curves for point in curve.points if point.epochs):
        known = [checkpoint.data for checkpoint in results.of(point) if checkpoint.data]
        if known:
            examples = {entry.examples for entry in known}
            at.setdefault(point.epochs, []).append((_most([entry.distinct for entry in known]), examples, point))
    if not at:
        return None
    epochs = max(at, key=lambda epochs: (len({count for count, *_ in at[epochs]}), epochs))
    rows = sorted(at[epochs], key=lambda row: row[0])
    counts = tuple(count for count, *_ in rows)
    if len(set(counts)) < FEWEST:
        return None
    steps = len(set[int]().union(*(examples for _, examples, _ in rows))) == 1
    points = tuple(point for *_, point in rows)
    return Series(curves[0].model, curves[0].dataset, epochs, steps, counts, points, tuple(curves))


def without_fewer(results: Results) -> Results:
    """Return the results with each series as the curve of its largest count alone, as plots over epochs show it.

    ``left_out`` then holds the number of curves that are left out, with their checkpoints. Results without series are
    returned as they are.
    """
    fewer: list[Curve] = []
    for series in find_series(results):
        fewer += [curve for curve in series.curves if series.points[-1] not in curve.points]
    if not fewer:
        return results
    gone = {name for curve in fewer for point in curve.points if point.epochs for name in point.checkpoints}
    return replace(
        results,
        curves=tuple(curve for curve in results.curves if curve not in fewer),
        checkpoints=tuple(checkpoint for checkpoint in results.checkpoints if checkpoint.id not in gone),
        left_out=len(fewer),
    )


def _most(counts: Sequence[int]) -> int:
    """Return the count that most runs have, the largest of several such."""
    return max(counts, key=lambda count: (counts.count(count), count))
