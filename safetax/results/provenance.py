"""Where and when the steps of runs were made, what trainings cost (time, memory), and which data runs stand on.

What depends on the machine stands in the page, in ``cost.csv`` and in ``provenance.json``, never in ``results.json``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from safetax.results.alignment_data import DataSet
from safetax.results.document import Checkpoint
from safetax.results.reader import RecordedRun, StepReader
from safetax.results.record import readings_of, steps_of

_TRAINING = ("model", "role", "dataset", "variant", "epochs")
_SEEDS = ("seed", "lrm_seed")
_DRIFT = {"moved_absent": "absent", "moved_seen": "seen"}
"""Columns of how far embeddings moved -> what a training's summary calls it."""
_MEANS = ("seconds", "device_hours", "tokens", "tokens_per_second", "mfu", "peak_memory_gb", *_DRIFT)
_SAME = ("devices", "device", "zero")
COLUMNS = (*_TRAINING, *_SEEDS, *_MEANS, *_SAME, "step")
"""Columns of ``cost.csv``: seconds of the training itself, devices times hours, model FLOP utilisation (0 to 1), and
the most memory that a device had reserved, in GB of 10^9 bytes (without a GPU: the process's own); the mean movement of
the input embeddings over their length at the start, of tokens that the data do not hold (absent) and of the others."""


def provenance(runs: Sequence[RecordedRun], steps: StepReader, checkpoints: Iterable[Checkpoint]) -> dict[str, Any]:
    """Return the folders of the runs, the provenance of all their steps, and the cost of their trainings."""
    manifests, listed = {}, {}
    for step in steps.ancestry(step for run in runs for step in steps_of(run.record)):
        manifests[step], folder = steps.known(step)
        listed[step] = manifests[step]["provenance"] | {"title": manifests[step]["title"], "folder": str(folder)}
    return {
        "schema": 1,
        "runs": {run.name: str(run.outputs / "runs" / run.name) for run in runs},
        "steps": listed,
        "training": training_costs(checkpoints, manifests),
    }


def data_sets(runs: Sequence[RecordedRun], steps: StepReader) -> list[DataSet]:
    """Return the data that runs were trained on, or that were prepared alone: step, title and the step's counts."""
    prompts = {
        f"prepare/{evaluation['prompts']}"
        for run in runs
        for entry in run.record["checkpoints"]
        for evaluation in entry["evaluations"]
    }
    traces = {
        steps.known(step)[0]["inputs"]["data"]["step"]
        for step in steps.ancestry(step for run in runs for step in readings_of(run.record))
        if step.startswith("perplexity/")
    }
    named = {step for run in runs for step in run.record.get("steps", []) if step.startswith("prepare/")}
    named -= prompts | traces
    listed = []
    for step in named & set(steps.ancestry(named)):
        manifest, _ = steps.known(step)
        counts = {key: value for key, value in manifest["summary"].items() if "seconds" not in key}
        listed.append(DataSet(step, manifest["title"], counts))
    return sorted(listed, key=lambda entry: (entry.title, entry.step))


def training_costs(
    checkpoints: Iterable[Checkpoint], manifests: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return a row of ``COLUMNS`` for each checkpoint of a results document that was trained, each training once.

    Of interpolated checkpoints it is the training of the weights that were mixed with the LRM's.

    Args:
        checkpoints: the checkpoints of the results document.
        manifests: manifests by step, ``kind/fingerprint``; what an older one does not say is None.
    """
    rows: dict[str, dict[str, Any]] = {}
    for checkpoint in checkpoints:
        step, merge = f"train/{checkpoint.weights}", manifests.get(f"merge/{checkpoint.weights}")
        if merge is not None:
            step = merge["inputs"]["model"]["step"]
            parts = [part for part in checkpoint.variant.split(", ") if not part.startswith("interpolation=")]
            checkpoint = replace(checkpoint, variant=", ".join(parts))
        if step in manifests and step not in rows:
            rows[step] = _row(checkpoint, step, manifests[step])
    return list(rows.values())


def _row(checkpoint: Checkpoint, step: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    summary, provenance = manifest["summary"], manifest.get("provenance", {})
    runtime = provenance.get("runtime") or {}
    seconds = summary.get("train_seconds", provenance.get("seconds"))
    devices = summary.get("devices", runtime.get("devices", 1))
    tokens, rate = summary.get("tokens"), summary.get("tokens_per_second")
    if tokens is None and rate is not None and seconds is not None:
        tokens = round(rate * seconds)
    return {
        **{key: getattr(checkpoint, key) for key in (*_TRAINING, *_SEEDS)},
        "seconds": seconds,
        "device_hours": None if seconds is None else round(seconds * devices / 3600, 6),
        "tokens": tokens,
        "tokens_per_second": rate,
        "mfu": summary.get("mfu"),
        "peak_memory_gb": summary.get("peak_memory_gb"),
        **{column: summary.get("embedding_drift", {}).get(name) for column, name in _DRIFT.items()},
        "devices": devices,
        "device": summary.get("gpu"),
        "zero": summary.get("zero", runtime.get("zero")),
        "step": step,
    }


def mean_costs(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for the trainings that differ by their seeds alone: their ``count`` and mean costs.

    Numbers that one of them lacks, and settings in which they differ, are None.
    """
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[part] for part in _TRAINING)].append(row)
    merged = []
    for group in groups.values():
        first = {key: group[0][key] for key in _TRAINING}
        values = {key: [row[key] for row in group] for key in (*_MEANS, *_SAME)}
        means = {key: None if None in values[key] else sum(values[key]) / len(group) for key in _MEANS}
        same = {key: values[key][0] if len({str(value) for value in values[key]}) == 1 else None for key in _SAME}
        merged.append({**first, "count": len(group), **means, **same})
    return merged
