"""Where and when the steps of runs were made, what they cost, and which data they stand on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from safetax.results.costs import training_costs
from safetax.results.document import Checkpoint, DataSet
from safetax.results.reader import RecordedRun, StepReader


def provenance(runs: Sequence[RecordedRun], steps: StepReader, checkpoints: Iterable[Checkpoint]) -> dict[str, Any]:
    """Return the folders of the runs, the provenance of all their steps, and the cost of their trainings."""
    named = [step for run in runs for step in run.record.get("steps", [])]
    for run in runs:
        for entry in run.record["checkpoints"]:
            for evaluation in entry["evaluations"]:
                named.append(f"generate/{evaluation['generate']}")
                named.extend(f"score/{fingerprint}" for fingerprint in evaluation["scores"].values())
    manifests, listed = {}, {}
    for step in steps.ancestry(named):
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
    named = {step for run in runs for step in run.record.get("steps", []) if step.startswith("prepare/")} - prompts
    listed = []
    for step in named & set(steps.ancestry(named)):
        manifest, _ = steps.known(step)
        counts = {key: value for key, value in manifest["summary"].items() if "seconds" not in key}
        listed.append(DataSet(step, manifest["title"], counts))
    return sorted(listed, key=lambda entry: (entry.title, entry.step))
