"""Curves over epochs: the checkpoints of one data set as points, with the spread over seeds where there are several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from safetax.results.scores import METRICS, SIDE_METRICS
from safetax.statistics import spread

Document = dict[str, Any]


def make_curves(checkpoints: Mapping[str, Document]) -> list[Document]:
    """Return one curve for each model, data set and variant; the LRM of its checkpoints is the point at epoch 0.

    A point names the seeds of each of its checkpoints: alignment, LRM and, where the data were drawn, the draws. Curves
    that differ in how many samples they had share a ``series``; where weights lie between the LRM's and the aligned
    model's, ``interpolation`` is the share of the latter.
    """
    groups: dict[tuple[str, str, str], dict[float, dict[str, list[int]]]] = defaultdict(lambda: defaultdict(dict))
    for checkpoint in checkpoints.values():
        if checkpoint["role"] == "aligned":
            points = groups[checkpoint["model"], checkpoint["dataset"], checkpoint["variant"]]
            draws = (checkpoint.get("data") or {}).get("draws") or []
            seeds = [checkpoint["seed"], checkpoint["lrm_seed"], *draws]
            points[checkpoint["epochs"]][checkpoint["id"]] = seeds
            if checkpoint["lrm"] is not None:
                # An LRM that several alignment seeds share is one observation, so it occurs once.
                shared = points[0.0].get(checkpoint["lrm"], seeds[:2])
                points[0.0][checkpoint["lrm"]] = min(shared, seeds[:2])
    curves = []
    for (model, dataset, variant), points in sorted(groups.items(), key=lambda item: _place(item, checkpoints)):
        label = f"{dataset} ({variant})" if variant else dataset
        listed = [_point(epochs, points[epochs], checkpoints) for epochs in sorted(points)]
        curve = {"model": model, "dataset": dataset, "variant": variant, "label": label, "points": listed}
        series = next((checkpoints[name].get("series") for name in listed[-1]["checkpoints"]), None)
        between = next((checkpoints[name].get("interpolation") for name in listed[-1]["checkpoints"]), None)
        told = {"series": series, "interpolation": between}
        curves.append({**curve, **{key: value for key, value in told.items() if value is not None}})
    return curves


def variant_place(checkpoint: Mapping[str, Any]) -> tuple[str, int, str]:
    """Return where a checkpoint stands among its variants: by name, and by number where it is one of samples."""
    series = checkpoint.get("series")
    if series is None:
        return checkpoint["variant"], 0, ""
    return series, (checkpoint.get("data") or {}).get("distinct", 0), checkpoint["variant"]


def _place(item: tuple[tuple[str, str, str], Mapping[float, Any]], checkpoints: Mapping[str, Document]) -> Any:
    (model, dataset, _), points = item
    aligned = points[max(points)]
    return model, dataset, min(variant_place(checkpoints[identity]) for identity in aligned)


def _point(epochs: float, seeds: Mapping[str, list[int]], checkpoints: Mapping[str, Document]) -> Document:
    """Return a point: of one checkpoint its score with the interval, of several their mean and spread."""
    ids = sorted(seeds, key=lambda identity: (seeds[identity], identity))
    scores: Document = {}
    held = [checkpoints[identity]["scores"] | accuracies(checkpoints[identity]) for identity in ids]
    for metric in [*METRICS, *SIDE_METRICS, *sorted({name for each in held for name in each if "/" in name})]:
        found = [each[metric] for each in held if metric in each]
        # A mean over the seeds that happen to have a score would be of other seeds than the point says.
        if len(found) < len(ids):
            continue
        over = spread([score["value"] for score in found])
        several = over.sd is not None
        scores[metric] = {
            "mean": over.mean,
            "sd": over.sd,
            "low": over.low if several else found[0]["low"],
            "high": over.high if several else found[0]["high"],
            "values": [score["value"] for score in found],
            "n": [score["n"] for score in found],
            "truncated": sum(score["truncated"] for score in found),
            "errors": sum(score["errors"] for score in found),
        }
    return {
        "epochs": epochs,
        "seeds": [seeds[identity] for identity in ids],
        "checkpoints": ids,
        "bars": "seeds" if len(ids) > 1 else "interval",
        "scores": scores,
    }


def accuracies(checkpoint: Document) -> Document:
    """Return the scores ``accuracy/BENCHMARK`` that a checkpoint's accuracy is the mean of, where they are several."""
    found = {}
    for name, benchmark in checkpoint["benchmarks"].items():
        score = benchmark["judges"][benchmark["judge"]]["scores"].get("accuracy")
        if benchmark["headline"] and score:
            found[f"accuracy/{name}"] = score
    return found if len(found) > 1 else {}
