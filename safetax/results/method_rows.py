"""Rows of the table of methods: what each costs and brings, and what is known of its data, at one epoch count."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safetax.results.pareto import fronts
from safetax.results.sample_counts import without_fewer
from safetax.results.shifts import perplexity
from safetax.results.table_rows import Cell
from safetax.statistics import spread

METRICS = ("safety_tax", "safety_gain", "harmful_score", "accuracy", "over_refusal", "help")
"""The scores of the table, in its order."""


@dataclass(frozen=True)
class MethodRow:
    """A method, which is a curve, at one epoch count."""

    model: str
    label: str
    variant: str
    epochs: float
    last: bool
    """Whether these are the method's most epochs."""
    runs: int
    cells: Mapping[str, Cell]
    after: Cell | None
    """Perplexity of the data trained on under the LRM, token-weighted; over runs the geometric mean."""
    before: Cell | None
    """The same before refinement."""
    fallback: Cell | None
    """Share of rows, in %, whose refinement failed."""
    examples: tuple[int, ...]
    distinct: tuple[int, ...]
    front: tuple[float, ...]
    """Epoch counts at which the method is on its model's Pareto front."""

    @property
    def on_front(self) -> bool:
        """Whether this row's own point is on the front."""
        return self.epochs in self.front


def method_rows(results: Mapping[str, Any]) -> list[MethodRow]:
    """Return a row for each method and epoch count, the methods with the least tax at their last epochs first.

    Runs on fewer samples of the same data are no methods of their own. Nothing is returned where nothing is known of
    the data, or of a single method's data no more than their size.
    """
    results = without_fewer(results)
    known = {checkpoint["id"]: checkpoint for checkpoint in results["checkpoints"]}
    on: dict[int, list[float]] = {}
    for place in (place for places in fronts(results) for place in places):
        if place.curve is not None:
            on.setdefault(place.curve, []).append(place.epochs)
    groups = []
    for number, curve in enumerate(results["curves"]):
        points = [point for point in curve["points"] if point["epochs"]]
        front = tuple(sorted(on.get(number, [])))
        rows = [_row(curve, point, point is points[-1], front, known) for point in points]
        groups += [rows] if rows else []
    rows = [row for group in sorted(groups, key=_place) for row in group]
    told = any(row.after or row.fallback for row in rows)
    named = any(known[name].get("method") or known[name].get("data") for name in known)
    return rows if told or (named and len(groups) > 1) else []


def last_rows(rows: Sequence[MethodRow]) -> list[MethodRow]:
    """Return each method's row at its last epoch count."""
    return [row for row in rows if row.last]


def _place(rows: Sequence[MethodRow]) -> tuple[Any, ...]:
    tax = rows[-1].cells.get("safety_tax")
    return rows[-1].model, math.inf if tax is None else tax.value, rows[-1].label


def _row(
    curve: Mapping[str, Any],
    point: Mapping[str, Any],
    last: bool,
    front: tuple[float, ...],
    known: Mapping[str, Mapping[str, Any]],
) -> MethodRow:
    cells = {}
    for metric in METRICS:
        if score := point["scores"].get(metric):
            cells[metric] = Cell(score["mean"], score["low"], score["high"], score["sd"], tuple(score["n"]))
    checkpoints = [known[identity] for identity in point["checkpoints"]]
    data = [entry for checkpoint in checkpoints if (entry := checkpoint.get("data"))]
    fallbacks = [entry.get("fallback") for entry in data]
    return MethodRow(
        model=curve["model"],
        label=curve["label"],
        variant=curve["variant"],
        epochs=point["epochs"],
        last=last,
        runs=len(checkpoints),
        cells=cells,
        after=_over([perplexity(checkpoint) for checkpoint in checkpoints], "token", geometric=True),
        before=_over([perplexity(checkpoint, "before") for checkpoint in checkpoints], "token", geometric=True),
        fallback=_over(fallbacks if len(data) == len(checkpoints) else [], "rate"),
        examples=tuple(sorted({entry["examples"] for entry in data})),
        distinct=tuple(sorted({entry["distinct"] for entry in data})),
        front=front,
    )


def _over(found: Sequence[Mapping[str, Any] | None], key: str, geometric: bool = False) -> Cell | None:
    """Return a value over runs, or of one run with its interval; None unless every run has it."""
    held = [entry for entry in found if entry]
    if not held or len(held) < len(found):
        return None
    values = [entry[key] for entry in held]
    over = spread(values)
    mean = math.exp(spread([math.log(value) for value in values]).mean) if geometric else over.mean
    one = len(set(values)) == 1  # of one set of data, however many runs were trained on it
    low, high = (held[0]["low"], held[0]["high"]) if one else (over.low, over.high)
    return Cell(mean, low, high, None if one else over.sd, tuple(entry["n"] for entry in held if "n" in entry))
