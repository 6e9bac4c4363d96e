"""The page's tables of harmful scores by category of the prompt: rows are models, columns are categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from safetax.results.sample_counts import without_fewer
from safetax.statistics import spread

Results = Mapping[str, Any]


def category_tables(results: Results) -> list[dict[str, Any]]:
    """Return for each model and benchmark whose prompts have categories a table of harmful scores.

    Each holds ``model``, ``benchmark``, ``categories``, ``trained`` (whether any row says what it was trained on) and
    ``rows``: the LRM and each method at its last epochs, with ``label``, ``trained_on`` and ``cells`` (category ->
    ``value``, over runs ``sd``, ``low``, ``high``, ``n`` prompts of each run, ``heat`` from 0 to 10 and whether it was
    ``trained`` on), which is without those that no run has.
    """
    results = without_fewer(results)
    known = {checkpoint["id"]: checkpoint for checkpoint in results["checkpoints"]}
    tables: dict[tuple[str, str], dict[str, Any]] = {}
    for model in dict.fromkeys(checkpoint["model"] for checkpoint in results["checkpoints"]):
        lrms = [c for c in results["checkpoints"] if c["model"] == model and c["role"] == "lrm"]
        groups: list[tuple[str, float, list[Mapping[str, Any]]]] = [("LRM", 0.0, lrms)] if lrms else []
        for curve in results["curves"]:
            if curve["model"] == model:
                point = curve["points"][-1]
                groups.append((curve["label"], point["epochs"], [known[name] for name in point["checkpoints"]]))
        for label, epochs, checkpoints in groups:
            for benchmark in dict.fromkeys(name for c in checkpoints for name in c.get("categories", {})):
                held = [c["categories"][benchmark] for c in checkpoints if benchmark in c.get("categories", {})]
                trained = list(dict.fromkeys(name for c in checkpoints for name in c.get("trained_on", [])))
                cells = {
                    category: _cell([each[category] for each in held if category in each], category in trained)
                    for category in dict.fromkeys(name for each in held for name in each)
                }
                table = tables.setdefault((model, benchmark), {"model": model, "benchmark": benchmark, "rows": []})
                table["rows"].append({"label": label, "epochs": epochs, "trained_on": trained, "cells": cells})
    for table in tables.values():
        table["categories"] = sorted({category for row in table["rows"] for category in row["cells"]})
        table["trained"] = any(cell["trained"] for row in table["rows"] for cell in row["cells"].values())
    return list(tables.values())


def _cell(scores: Sequence[Mapping[str, Any]], trained: bool) -> dict[str, Any]:
    """Return the mean over runs, or of one run the score with its interval."""
    over = spread([score["value"] for score in scores])
    low, high = (over.low, over.high) if len(scores) > 1 else (scores[0]["low"], scores[0]["high"])
    n = [score["n"] for score in scores]
    heat = round(over.mean / 10)
    return {"value": over.mean, "sd": over.sd, "low": low, "high": high, "n": n, "heat": heat, "trained": trained}
