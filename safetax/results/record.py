"""What run records say: their settings, the steps that they stand on, and which of them newer ones replace.

What a run stands on may change though its settings do not: a file of the user's, a branch of the hub, the rules of a
newer safetax. What it gave before is then no second observation of the same.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from safetax.config.flat import flatten
from safetax.results.reader import RecordedRun, StepReader

Settings = list[tuple[str, str]]

_ELSEWHERE = ("runtime", "tracking", "plan", "hub")
"""Settings that change no result."""


def shared_and_own(records: Sequence[Mapping[str, Any]]) -> tuple[Settings, list[tuple[str, Settings]]]:
    """Return the settings that all runs share, and for each run its name and its own settings, as keys and values."""
    flat = [flatten(record["config"]) for record in records]
    shared = {
        key: value
        for key, value in (flat[0] if flat else {}).items()
        if all(other.get(key) == value for other in flat[1:])
    }
    runs = [
        (record["name"], sorted((key, value) for key, value in settings.items() if key not in shared))
        for record, settings in zip(records, flat, strict=True)
    ]
    return sorted(shared.items()), runs


def made_by(checkpoint: Mapping[str, Any]) -> str | None:
    """Return the step that made the weights of a record's checkpoint, or None for a starting model as it is.

    A record of before other steps than trainings made weights names the training alone.
    """
    train = f"train/{checkpoint['train']}" if checkpoint.get("train") else None
    return checkpoint.get("step") or train


def steps_of(record: Mapping[str, Any]) -> list[str]:
    """Return the steps that a run record names, as ``kind/fingerprint``, each once."""
    named = list(record.get("steps", []))
    for checkpoint in record["checkpoints"]:
        named += [step for step in [made_by(checkpoint)] if step is not None]
        for evaluation in checkpoint["evaluations"]:
            named.append(f"prepare/{evaluation['prompts']}")
            named.append(f"generate/{evaluation['generate']}")
            named.extend(f"score/{fingerprint}" for fingerprint in evaluation["scores"].values())
    return list(dict.fromkeys([*named, *readings_of(record)]))


def readings_of(record: Mapping[str, Any]) -> list[str]:
    """Return the steps of a run record that read traces, as ``perplexity/fingerprint``."""
    return [
        f"perplexity/{fingerprint}"
        for checkpoint in record["checkpoints"]
        for readings in checkpoint.get("readings", {}).values()
        for fingerprint in readings.values()
    ]


def latest(runs: Sequence[RecordedRun], steps: StepReader) -> tuple[list[RecordedRun], list[RecordedRun]]:
    """Return the runs that count, in their order, and those that a newer one of the same settings replaces."""
    alike: dict[str, list[RecordedRun]] = defaultdict(list)
    for run in runs:
        config = {key: value for key, value in run.record["config"].items() if key not in _ELSEWHERE}
        asked = [
            [entry["role"], [[each["benchmark"], sorted(each["scores"])] for each in entry["evaluations"]]]
            for entry in run.record["checkpoints"]
        ]
        told = [run.record.get(name) for name in ("model", "dataset", "stage", "epochs", "seed", "lrm_seed")]
        alike[json.dumps([told, config, asked], sort_keys=True)].append(run)
    newest = {id(max(group, key=lambda run: _finished(run, steps))) for group in alike.values()}
    return [run for run in runs if id(run) in newest], [run for run in runs if id(run) not in newest]


def _finished(run: RecordedRun, steps: StepReader) -> str:
    """Return when the last of a run's steps was finished, as ISO 8601 has it."""
    evaluations = [evaluation for entry in run.record["checkpoints"] for evaluation in entry["evaluations"]]
    scores = [f"score/{fingerprint}" for evaluation in evaluations for fingerprint in evaluation["scores"].values()]
    found = steps.ancestry(scores or run.record.get("steps", []))
    return max((steps.known(step)[0]["provenance"].get("finished", "") for step in found), default="")
