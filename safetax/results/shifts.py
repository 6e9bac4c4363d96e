"""Tax against distribution shift: the perplexity of alignment data under the frozen LRM, by method, at one epoch count.

The data's perplexity before they were refined stands beside it; the correlation is over what was trained on. Different
LRMs, let alone with other tokenizers, have no common scale of perplexity, so that each has a correlation of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safetax.results.pareto import way_of
from safetax.results.rank_correlation import Correlation, rank_correlation
from safetax.statistics import spread

TAX = "safety_tax"


@dataclass(frozen=True)
class Extent:
    """A value with how far its bar reaches: over runs, where there are several, else its own interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ShiftPoint:
    """A curve at one epoch count: perplexities and tax of its runs, and both over all of them."""

    curve: int
    epochs: float
    runs: tuple[tuple[float, float], ...]
    """Perplexity of the data and tax in points, of each run."""
    after: Extent
    """Of what was trained on; over runs the geometric mean."""
    before: float | None
    tax: Extent


@dataclass(frozen=True)
class Way:
    """The points of one model that was evaluated in one way, and their correlation, where one is claimed."""

    name: str
    """What tells it apart from the other ways; empty where there is no other."""
    points: tuple[ShiftPoint, ...]
    epochs: float
    """Epoch count at which the correlation is taken."""
    correlation: Correlation | None

    @property
    def chosen(self) -> list[ShiftPoint]:
        """The points at the epoch count of the correlation."""
        return [point for point in self.points if point.epochs == self.epochs]


@dataclass(frozen=True)
class Shifts:
    """All that was measured, by way."""

    ways: tuple[Way, ...]

    @property
    def points(self) -> list[ShiftPoint]:
        """The points of all ways."""
        return [point for way in self.ways for point in way.points]


def perplexity(checkpoint: Mapping[str, Any], when: str = "after") -> Mapping[str, Any] | None:
    """Return the token-weighted perplexity of all supervised tokens of a checkpoint's data: token, low, high."""
    return ((checkpoint.get("shift") or {}).get(when) or {}).get("all")


def find_shifts(results: Mapping[str, Any]) -> Shifts:
    """Return tax and shift of the curves whose checkpoints have both; the LRM itself has no data and is no point.

    A way's correlation is taken at the largest epoch count that most of its curves have. Weights between the LRM's and
    the aligned model's are left out: what such a model was trained on is not all of what it is.
    """
    known = {checkpoint["id"]: checkpoint for checkpoint in results["checkpoints"]}
    found: dict[tuple[Any, ...], list[ShiftPoint]] = {}
    for number, curve in enumerate(results["curves"]):
        for point in curve["points"]:
            tax = point["scores"].get(TAX)
            held = [perplexity(known[identity]) for identity in point["checkpoints"]]
            between = known[point["checkpoints"][0]].get("interpolation") not in (None, 1)
            if point["epochs"] and tax and all(held) and not between:
                measured = _point(number, point, tax, [part for part in held if part], known)
                found.setdefault(way_of(known[point["checkpoints"][0]]), []).append(measured)
    named = zip(_names(list(found)), found.values(), strict=True)
    return Shifts(tuple(_way(name, points, results["curves"]) for name, points in named))


def _names(ways: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return the models of the ways and, where that is not enough, evaluations and benchmarks, if they differ in it."""
    names = [""] * len(ways)
    told = [(model, evaluation or "no evaluation", ", ".join(headline)) for model, evaluation, *headline in ways]
    for part in zip(*told, strict=True):
        if len(set(names)) < len(names) and len(set(part)) > 1:
            names = [", ".join(filter(None, pair)) for pair in zip(names, part, strict=True)]
    return names


def _way(name: str, points: Sequence[ShiftPoint], curves: Sequence[Mapping[str, Any]]) -> Way:
    at: dict[float, set[int]] = {}
    for point in points:
        at.setdefault(point.epochs, set()).add(point.curve)
    epochs = max(at, key=lambda epochs: (len(at[epochs]), epochs))
    chosen = [(point, run) for point in points if point.epochs == epochs for run in point.runs]
    # Variants of a method, such as other learning rates on the same data, are no methods of their own.
    own = [curves[point.curve] for point, _ in chosen]
    methods = [(curve["model"], curve["dataset"]) for curve in own]
    x, y = [run[0] for _, run in chosen], [run[1] for _, run in chosen]
    return Way(name, tuple(points), epochs, rank_correlation(x, y, methods))


def _point(
    number: int,
    point: Mapping[str, Any],
    tax: Mapping[str, Any],
    held: Sequence[Mapping[str, Any]],
    known: Mapping[str, Mapping[str, Any]],
) -> ShiftPoint:
    after = [part["token"] for part in held]
    before = [part["token"] for identity in point["checkpoints"] if (part := perplexity(known[identity], "before"))]
    several = len(set(after)) > 1  # runs on the very same data are one measurement of its perplexity
    reach = (min(after), max(after)) if several else (held[0]["low"], held[0]["high"])
    return ShiftPoint(
        number,
        point["epochs"],
        tuple(zip(after, tax["values"], strict=True)),
        Extent(_geometric(after), *reach),
        _geometric(before) if len(before) == len(held) else None,
        Extent(tax["mean"], tax["low"], tax["high"]),
    )


def _geometric(values: Sequence[float]) -> float:
    return math.exp(spread([math.log(value) for value in values]).mean)
