"""What the results say, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from safetax.results.sample_counts import without_fewer


def sentences(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return for each dataset what its longest alignment cost and brought, the costliest first.

    Of runs that differ in how many samples of a data set they had, only those with the most are told of.

    Each entry holds ``model``, ``dataset``, ``epochs``, ``seeds`` (how many), ``tax`` and ``gain`` (a mean or score
    with its interval), ``verdict`` (one of "cost", "gained", "unclear") and the other ``scores`` of that point.
    """
    found = []
    for curve in without_fewer(results)["curves"]:
        points = [point for point in curve["points"] if point["epochs"] and "safety_tax" in point["scores"]]
        if not points:
            continue
        last = max(points, key=lambda point: point["epochs"])
        tax = last["scores"]["safety_tax"]
        start = next((point for point in curve["points"] if not point["epochs"]), None)
        found.append(
            {
                "model": curve["model"],
                "dataset": curve["label"],
                "epochs": last["epochs"],
                "seeds": len(last["seeds"]),
                "bars": last["bars"],
                "tax": tax,
                "gain": last["scores"].get("safety_gain"),
                "verdict": verdict(tax),
                "scores": last["scores"],
                "start": start["scores"] if start else {},
            }
        )
    return sorted(found, key=lambda entry: (-entry["tax"]["mean"], entry["model"], entry["dataset"]))


def verdict(tax: Mapping[str, Any]) -> str:
    """Say what the interval of one seed or the range of several allows: "cost", "gained" or (it holds 0) "unclear"."""
    low, high = tax.get("low"), tax.get("high")
    if low is None or high is None or low <= 0 <= high:
        return "unclear"
    return "cost" if low > 0 else "gained"
