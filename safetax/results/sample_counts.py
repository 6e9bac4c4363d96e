"""Runs on ever fewer samples of the same data: series over the number of samples, apart from curves over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

FEWEST = 3
"""Counts that make a series; two are shown as two curves like any others."""

Curve = Mapping[str, Any]


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
    points: tuple[Mapping[str, Any], ...]
    """The curves' points, in the order of ``counts``."""
    curves: tuple[Curve, ...]

    @property
    def name(self) -> str:
        """The label and what was held equal."""
        return f"{self.label}, equal {'steps' if self.steps else 'epochs'}"


def find_series(results: Mapping[str, Any]) -> list[Series]:
    """Return the series with at least three sample counts, each at the most epochs at which it has the most counts."""
    data = {checkpoint["id"]: checkpoint.get("data") for checkpoint in results["checkpoints"]}
    alike: dict[tuple[str, str, str], list[Curve]] = {}
    for curve in results["curves"]:
        if curve.get("series") is not None:
            alike.setdefault((curve["model"], curve["dataset"], curve["series"]), []).append(curve)
    found: list[tuple[Series, str]] = []
    for (model, dataset, series), curves in alike.items():
        at: dict[float, list[tuple[int, set[int], Mapping[str, Any], Curve]]] = {}
        for curve in curves:
            for point in curve["points"]:
                known = [entry for identity in point["checkpoints"] if (entry := data[identity])]
                if point["epochs"] and known:
                    examples = {entry["examples"] for entry in known}
                    count = _most([entry["distinct"] for entry in known])
                    at.setdefault(point["epochs"], []).append((count, examples, point, curve))
        if not at:
            continue
        epochs = max(at, key=lambda epochs: (len({count for count, *_ in at[epochs]}), epochs))
        rows = sorted(at[epochs], key=lambda row: row[0])
        counts = tuple(count for count, *_ in rows)
        if len(set(counts)) >= FEWEST:
            steps = len(set[int]().union(*(examples for _, examples, *_ in rows))) == 1
            points = tuple(point for *_, point, _ in rows)
            found.append((Series(model, dataset, epochs, steps, counts, points, tuple(curves)), series))
    names = [(each.model, each.name) for each, _ in found]
    return [
        replace(each, label=f"{each.label} ({series})") if names.count((each.model, each.name)) > 1 and series else each
        for each, series in found
    ]


def without_fewer(results: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the results with each series as the curve of its largest count alone, as plots over epochs show it.

    The key ``left_out`` then holds the number of curves that are left out, with their checkpoints. Results without
    series are returned as they are.
    """
    fewer: list[Curve] = []
    for series in find_series(results):
        largest = series.points[-1]
        fewer += [curve for curve in series.curves if largest not in curve["points"]]
    if not fewer:
        return results
    gone = {name for curve in fewer for p in curve["points"] if p["epochs"] for name in p["checkpoints"]}
    return {
        **results,
        "curves": [curve for curve in results["curves"] if curve not in fewer],
        "checkpoints": [checkpoint for checkpoint in results["checkpoints"] if checkpoint["id"] not in gone],
        "left_out": len(fewer),
    }


def _most(counts: Sequence[int]) -> int:
    """Return the count that most runs have, the largest of several such."""
    return max(counts, key=lambda count: (counts.count(count), count))
