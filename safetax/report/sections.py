"""What the page's later sections show: checks on the safety score, judges, evaluations, engines, costs and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from safetax.config.flat import leaves
from safetax.results.alignment_data import perplexity_texts
from safetax.results.costs import over_seeds, training_costs
from safetax.results.scores import HARMFUL_OR_REPEATED, STRONGREJECT, THINKING

Results = Mapping[str, Any]
Manifests = Mapping[str, Mapping[str, Any]]

ENGINE_FACTS = {
    "version": "engine versions",
    "tensor_parallel": "tensor-parallel widths",
    "dtype": "number formats",
    "device": "devices",
}
"""What of an engine can move greedy responses by itself -> how a warning calls it."""


def safety_checks(results: Results) -> list[dict[str, Any]]:
    """Return for each checkpoint the harmful score beside what else was counted of it; nothing where nothing differs.

    Each row holds ``place`` (of the checkpoint) and the scores ``raw``, ``unique``, ``repeated``, ``strongreject`` and
    ``thinking``, or None.
    """
    rows = []
    for place, checkpoint in enumerate(results["checkpoints"]):
        scores = checkpoint["scores"]
        raw = scores.get("harmful_score")
        if raw is None and THINKING not in scores:
            continue
        unique = (raw or {}).get("unique")
        others = {
            "repeated": scores.get(HARMFUL_OR_REPEATED),
            "strongreject": scores.get(STRONGREJECT),
            "thinking": scores.get(THINKING),
        }
        rows.append({"place": place, "raw": raw, "unique": unique, **others})
    told = any(row["unique"] or row["strongreject"] or row["thinking"] for row in rows)
    broken = any(row["raw"] and row["repeated"] and row["repeated"]["value"] != row["raw"]["value"] for row in rows)
    return rows if told or broken else []


def judge_scores(results: Results) -> list[dict[str, Any]]:
    """Return for each benchmark with several judges of answers a table of their scores.

    Each holds ``benchmark``, ``metric``, ``judges`` (the headline's first) and ``rows``: ``place`` of the checkpoint
    and its score by each judge, or None.
    """
    tables: dict[tuple[str, str], dict[str, Any]] = {}
    for place, checkpoint in enumerate(results["checkpoints"]):
        for name, benchmark in checkpoint["benchmarks"].items():
            judges = {judge: given for judge, given in benchmark["judges"].items() if given.get("part") != "thinking"}
            metric = {"harmful": "harmful_score", "benign": "over_refusal"}.get(benchmark["measures"], "accuracy")
            if sum(metric in given["scores"] for given in judges.values()) > 1:
                table = tables.setdefault(
                    (name, metric), {"benchmark": name, "metric": metric, "judges": [], "rows": []}
                )
                table["judges"] += [judge for judge in judges if judge not in table["judges"]]
                scores = {judge: given["scores"].get(metric) for judge, given in judges.items()}
                table["rows"].append({"place": place, "scores": scores})
    return list(tables.values())


def engine_warnings(results: Results, manifests: Manifests, labels: Sequence[str]) -> list[str]:
    """Return a sentence for each fact about the engine in which checkpoints of one model differ."""
    warnings = []
    for model in dict.fromkeys(checkpoint["model"] for checkpoint in results["checkpoints"]):
        for fact, called in ENGINE_FACTS.items():
            holders: dict[str, list[str]] = {}
            for checkpoint, label in zip(results["checkpoints"], labels, strict=True):
                if checkpoint["model"] == model:
                    for value in _facts(checkpoint, manifests, fact):
                        holders.setdefault(value, []).append(label)
            if len(holders) > 1:
                values = sorted(holders, key=lambda value: (len(value), value))
                who = "; ".join(f"{value}: {', '.join(dict.fromkeys(holders[value]))}" for value in values)
                warnings.append(f"{model} is compared across {called} {_listed(values)} ({who}).")
    return warnings


def _facts(checkpoint: Mapping[str, Any], manifests: Manifests, fact: str) -> list[str]:
    """Return the values that a fact had over the checkpoint's generations, each once."""
    found = []
    for benchmark in checkpoint["benchmarks"].values():
        manifest = manifests.get(f"generate/{benchmark['steps']['generate']}", {})
        value = manifest.get("summary", {}).get("engine_facts", {}).get(fact)
        found += [] if value is None else [str(value)]
    return list(dict.fromkeys(found))


def _listed(values: Sequence[str]) -> str:
    return f"{', '.join(values[:-1])} and {values[-1]}"


def costs(results: Results, manifests: Manifests) -> list[dict[str, Any]]:
    """Return what trainings cost, over seeds; each column that no training knows is left out of the page."""
    return over_seeds(training_costs(results["checkpoints"], manifests))


def data(results: Results) -> list[dict[str, Any]]:
    """Return the data sets: rows, other counts and perplexities; nothing where runs say no more than how many rows."""
    listed = [
        {
            "title": entry["title"].removeprefix("data "),
            "step": entry["step"],
            "rows": entry["summary"].get("examples"),
            "counts": [
                (key.replace(".", ": "), "; ".join(map(str, value)) if isinstance(value, list) else value)
                for key, value in leaves(entry["summary"])
                if key != "examples" and value not in ({}, [])
            ],
            "perplexities": perplexity_texts(entry),
        }
        for entry in results["data"]
    ]
    told = not results["checkpoints"] or any(entry["counts"] or entry["perplexities"] for entry in listed)
    return listed if told else []
