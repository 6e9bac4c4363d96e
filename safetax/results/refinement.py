"""What refining alignment data changed: a model trained on refined rows against one trained on the rows as they were.

The two are of one LRM, one alignment seed and one recipe, so that what they share cancels in their difference.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetax.statistics import Estimate, mean_over_runs

METRICS = ("safety_tax", "harmful_score", "over_refusal", "help")
"""Scores whose changes are told, in the order of the table; that of the accuracy is the tax's with the other sign."""
FILE = "refinement.csv"


@dataclass(frozen=True)
class Change:
    """Refined minus plain, in points: the mean over pairs and, of two pairs and more that differ, its interval."""

    mean: float
    interval: Estimate | None
    values: tuple[float, ...]


@dataclass(frozen=True)
class Effect:
    """A refined method against its source at one epoch count."""

    model: str
    refined: str
    plain: str
    epochs: float
    changes: Mapping[str, Change]

    @property
    def pairs(self) -> int:
        """How many pairs of runs there are."""
        return max(len(change.values) for change in self.changes.values())


def refinement_effects(results: Mapping[str, Any]) -> list[Effect]:
    """Return an effect for each refined curve and epoch count that has pairs, in the order of the curves."""
    known = {checkpoint["id"]: checkpoint for checkpoint in results["checkpoints"]}
    labels = {
        name: curve["label"]
        for curve in results["curves"]
        for point in curve["points"]
        for name in point["checkpoints"]
    }
    plain: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for checkpoint in known.values():
        if checkpoint.get("data"):
            plain.setdefault(_like(checkpoint, checkpoint["data"]["step"]), []).append(checkpoint)
    effects = []
    for curve in results["curves"]:
        for point in curve["points"]:
            pairs = [
                (known[name], others[0])
                for name in point["checkpoints"]
                if (source := (known[name].get("data") or {}).get("refined_from"))
                and len(others := plain.get(_like(known[name], source), [])) == 1
            ]
            changes = {metric: change for metric in METRICS if (change := _change(pairs, metric))}
            if changes:
                against = " / ".join(dict.fromkeys(labels[other["id"]] for _, other in pairs))
                effects.append(Effect(curve["model"], curve["label"], against, point["epochs"], changes))
    return effects


def _like(checkpoint: Mapping[str, Any], data: str) -> tuple[Any, ...]:
    """Return what a checkpoint has in common with its pair, which was trained on the other data."""
    same = ("model", "lrm", "seed", "epochs", "evaluation", "recipe")
    return data, *(checkpoint.get(name) for name in same)


def _change(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], metric: str) -> Change | None:
    values = tuple(
        refined["scores"][metric]["value"] - plain["scores"][metric]["value"]
        for refined, plain in pairs
        if metric in refined["scores"] and metric in plain["scores"]
    )
    if not values:
        return None
    reach = mean_over_runs(values)
    if reach is not None:  # shares differ by 100 points at most, which Student's interval does not know
        reach = Estimate(reach.value, max(-100.0, reach.low), min(100.0, reach.high))
    return Change(sum(values) / len(values), reach, values)


def write_refinement(results: Mapping[str, Any], directory: Path) -> None:
    """Write ``refinement.csv`` where refined data can be compared; else the file of earlier results goes."""
    effects = refinement_effects(results)
    if not effects:
        (directory / FILE).unlink(missing_ok=True)
        return
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    parts = ("", "_low", "_high")
    head = ["model", "refined", "plain", "epochs", "pairs"]
    writer.writerow([*head, *(f"{metric}{part}" for metric in METRICS for part in parts)])
    for effect in effects:
        numbers: list[float | str] = []
        for metric in METRICS:
            change = effect.changes.get(metric)
            reach = change.interval if change else None
            numbers.append(round(change.mean, 6) + 0.0 if change else "")
            numbers += [round(reach.low, 6), round(reach.high, 6)] if reach else ["", ""]
        writer.writerow([effect.model, effect.refined, effect.plain, f"{effect.epochs:g}", effect.pairs, *numbers])
    (directory / FILE).write_text(file.getvalue(), encoding="utf-8", newline="")
