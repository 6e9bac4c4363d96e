"""What refining alignment data changed: a model trained on refined rows against one trained on the rows as they were.

The two are of one LRM, one alignment seed and one recipe, so that what they share cancels in their difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safetax.results.document import Checkpoint, Results
from safetax.results.metrics import OF_REFINEMENT
from safetax.statistics import Estimate, mean_over_runs, p_value


@dataclass(frozen=True)
class Change:
    """Refined minus plain, in points: the mean over pairs and, of two pairs and more that differ, its interval."""

    mean: float
    interval: Estimate | None
    values: tuple[float, ...]
    p: float | None = None
    """Two-sided p-value of no change, by the interval."""


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


def refinement_effects(results: Results) -> list[Effect]:
    """Return an effect for each refined curve and epoch count that has pairs, in the order of the curves."""
    labels = {name: curve.label for curve in results.curves for point in curve.points for name in point.checkpoints}
    plain: dict[tuple[Any, ...], list[Checkpoint]] = {}
    for checkpoint in results.checkpoints:
        if checkpoint.data:
            plain.setdefault(_like(checkpoint, checkpoint.data.step), []).append(checkpoint)
    effects = []
    for curve in results.curves:
        for point in curve.points:
            pairs = [
                (checkpoint, others[0])
                for checkpoint in results.of(point)
                if checkpoint.data
                and checkpoint.data.refined_from
                and len(others := plain.get(_like(checkpoint, checkpoint.data.refined_from), [])) == 1
            ]
            changes = {metric: change for metric in OF_REFINEMENT if (change := _change(pairs, metric))}
            if changes:
                against = " / ".join(dict.fromkeys(labels[other.id] for _, other in pairs))
                effects.append(Effect(curve.model, curve.label, against, point.epochs, changes))
    return effects


def _like(checkpoint: Checkpoint, data: str) -> tuple[Any, ...]:
    """Return what a checkpoint has in common with its pair, which was trained on the other data."""
    same = (checkpoint.model, checkpoint.lrm, checkpoint.seed, checkpoint.epochs)
    return data, *same, checkpoint.evaluation, checkpoint.recipe


def _change(pairs: Sequence[tuple[Checkpoint, Checkpoint]], metric: str) -> Change | None:
    values = tuple(
        refined.scores[metric].value - plain.scores[metric].value
        for refined, plain in pairs
        if metric in refined.scores and metric in plain.scores
    )
    if not values:
        return None
    reach = mean_over_runs(values)
    if reach is None:
        return Change(sum(values) / len(values), None, values)
    p = p_value(lambda confidence: mean_over_runs(values, confidence) or reach)
    # Shares differ by 100 points at most, which the interval of any values does not know.
    within = Estimate(reach.value, max(-100.0, reach.low), min(100.0, reach.high))
    return Change(sum(values) / len(values), within, values, p)
