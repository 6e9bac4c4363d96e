"""Runs that the same settings made anew: of those that stand below one folder the newest alone counts.

What a run stands on may change though its settings do not: a file of the user's, a branch of the hub, the rules of a
newer safetax. What it gave before is then no second observation of the same.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

from safetax.results.reader import RecordedRun, StepReader

_ELSEWHERE = ("runtime", "tracking", "plan", "hub")
"""Settings that change no result."""


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
