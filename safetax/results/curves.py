"""Curves over epochs: the checkpoints of one data set as points, where there are several seeds with their mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from safetax.results.document import Checkpoint, Curve, CurvePoint, PointScore, Score
from safetax.results.metrics import ACCURACY, HEADLINE, SIDE
from safetax.results.scores import total
from safetax.statistics import OverSeeds, Sample, intervals, over_seeds, p_value

Seeds = tuple[int, ...]
"""Alignment seed, LRM seed and, where data were drawn, the draws."""


def make_curves(checkpoints: Mapping[str, Checkpoint]) -> tuple[Curve, ...]:
    """Return one curve for each model, data set and variant; the LRM of its checkpoints is the point at epoch 0.

    Curves that differ in how many samples they had share a ``series``; where weights lie between the LRM's and the
    aligned model's, ``interpolation`` is the share of the latter.

    Args:
        checkpoints: the checkpoints by id.
    """
    groups: dict[tuple[str, str, str], dict[float, dict[str, Seeds]]] = defaultdict(lambda: defaultdict(dict))
    for checkpoint in checkpoints.values():
        if checkpoint.role == "aligned":
            assert checkpoint.dataset is not None and checkpoint.seed is not None and checkpoint.epochs is not None
            points = groups[checkpoint.model, checkpoint.dataset, checkpoint.variant]
            own = (checkpoint.seed, checkpoint.lrm_seed)
            points[checkpoint.epochs][checkpoint.id] = (*own, *(checkpoint.data.draws if checkpoint.data else ()))
            if checkpoint.lrm is not None:
                # An LRM that several alignment seeds share is one observation, so it occurs once.
                points[0.0][checkpoint.lrm] = min(points[0.0].get(checkpoint.lrm, own), own)
    curves = []
    for (model, dataset, variant), points in sorted(groups.items(), key=lambda item: _place(item, checkpoints)):
        listed = tuple(_point(epochs, points[epochs], checkpoints) for epochs in sorted(points))
        last = checkpoints[listed[-1].checkpoints[0]]
        label = f"{dataset} ({variant})" if variant else dataset
        curves.append(Curve(model, dataset, variant, label, listed, last.series, last.interpolation))
    return tuple(curves)


def variant_place(checkpoint: Checkpoint) -> tuple[str, int, str]:
    """Return where a checkpoint stands among its variants: by name, and by number where it is one of samples."""
    if checkpoint.series is None:
        return checkpoint.variant, 0, ""
    return checkpoint.series, checkpoint.data.distinct if checkpoint.data else 0, checkpoint.variant


def _place(item: tuple[tuple[str, str, str], Mapping[float, Any]], checkpoints: Mapping[str, Checkpoint]) -> Any:
    (model, dataset, _), points = item
    aligned = points[max(points)]
    return model, dataset, min(variant_place(checkpoints[identity]) for identity in aligned)


def _point(epochs: float, seeds: Mapping[str, Seeds], checkpoints: Mapping[str, Checkpoint]) -> CurvePoint:
    """Return a point: of one checkpoint its score with the interval, of several their mean with its interval."""
    ids = tuple(sorted(seeds, key=lambda identity: (seeds[identity], identity)))
    held = [{**checkpoints[identity].scores, **accuracies(checkpoints[identity])} for identity in ids]
    parts = sorted({name for each in held for name in each if "/" in name})
    units = [checkpoints[identity].lrm_seed for identity in ids]
    found = {metric: point_score([each.get(metric) for each in held], units) for metric in (*HEADLINE, *SIDE, *parts)}
    return CurvePoint(
        epochs,
        seeds=tuple(seeds[identity] for identity in ids),
        checkpoints=ids,
        bars="seeds" if len(ids) > 1 else "interval",
        scores={metric: score for metric, score in found.items() if score is not None},
    )


def point_score(scores: Sequence[Score | None], lrm_seeds: Sequence[int]) -> PointScore | None:
    """Return a score over seeds, or None where a seed lacks it: the mean would be of other seeds than is said.

    What is drawn anew is the LRM: alignment seeds of one LRM are a cluster, if there are several LRMs.
    """
    found = [score for score in scores if score is not None]
    if not found or len(found) < len(scores):
        return None
    return PointScore(
        **vars(mean_of_scores(found, lrm_seeds)),
        n=tuple(score.n for score in found),
        truncated=sum(score.truncated for score in found),
        errors=sum(score.errors for score in found),
        broken=total(score.broken for score in found),
        p=_p_value(found, lrm_seeds) if any(score.p is not None for score in found) else None,
    )


def mean_of_scores(scores: Sequence[Score], lrm_seeds: Sequence[int]) -> OverSeeds:
    """Return the mean of several checkpoints' scores in percent, with its interval over prompts and LRM seeds."""
    return over_seeds(scores, _samples(scores, lrm_seeds), scale=100.0)


def _samples(scores: Sequence[Score], lrm_seeds: Sequence[int]) -> list[Sample]:
    """Return what scores were measured on, of each LRM seed; nothing unless all have it."""
    known = zip((score.sample for score in scores), lrm_seeds, strict=True)
    samples = [replace(sample, unit=str(seed)) for sample, seed in known if sample is not None]
    return samples if len(samples) == len(scores) else []


def _p_value(scores: Sequence[Score], lrm_seeds: Sequence[int]) -> float | None:
    if len(scores) == 1:
        return scores[0].p
    samples = _samples(scores, lrm_seeds)
    return p_value(intervals(samples)) if samples else None


def accuracies(checkpoint: Checkpoint) -> dict[str, Score]:
    """Return the scores ``accuracy/BENCHMARK`` that a checkpoint's accuracy is the mean of, where they are several."""
    found = {
        f"{ACCURACY}/{name}": score
        for name, benchmark in checkpoint.benchmarks.items()
        if benchmark.headline and (score := benchmark.judged.scores.get(ACCURACY))
    }
    return found if len(found) > 1 else {}
