"""What a run and a sweep leave on disk of themselves: which checkpoints they have, of which steps, by which settings.

Results are read from these records and from the manifests of the steps that they name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetax.data.user_files import user_path
from safetax.plan.graph import Plan, PlannedCheckpoint, PlannedRun
from safetax.store.manifest import write_json


def write_record(run: PlannedRun, outputs: Path) -> Path:
    """Write a run's record and return its folder."""
    config = run.config
    aligned = config.stage.name == "alignment"
    record = {
        "schema": 1,
        "id": run.id,
        "name": run.name,
        "stage": config.stage.name,
        "model": config.model.name,
        "dataset": run.dataset,
        "epochs": config.epochs if aligned else None,
        "seed": config.seed,
        "lrm_seed": config.lrm_seed,
        "world": "lab" if config.model.tokenizer == "lab" else "real",
        "config": _plain(config),
        "overrides": list(run.overrides),
        "checkpoints": [
            {
                "role": checkpoint.role,
                "train": checkpoint.train.fingerprint if checkpoint.train else None,
                "step": checkpoint.weights.key if checkpoint.weights else None,
                "model": config.model.name,
                **(about_data(run) if checkpoint.role == "aligned" else {}),
                "evaluations": [
                    {
                        "benchmark": evaluated.benchmark,
                        "measures": evaluated.config.measures,
                        "headline": evaluated.config.headline,
                        "thinking": evaluated.config.thinking,
                        "prompts": evaluated.prompts.fingerprint,
                        "generate": evaluated.generate.fingerprint,
                        "scores": {judge: step.fingerprint for judge, step in evaluated.scores.items()},
                    }
                    for evaluated in checkpoint.evaluations
                ],
                **_readings(checkpoint),
            }
            for checkpoint in run.checkpoints
        ],
        "steps": [step.key for step in run.steps],
    }
    folder = outputs / "runs" / run.name
    write_json(folder / "run.json", record, sort_keys=False)  # the order of judges says which one is the headline's
    return folder


def _readings(checkpoint: PlannedCheckpoint) -> dict[str, Any]:
    """Return the steps that read traces under a checkpoint, by benchmark and by whose traces they are."""
    found = {
        evaluated.benchmark: {whose: step.fingerprint for whose, step in evaluated.readings.items()}
        for evaluated in checkpoint.evaluations
        if evaluated.readings
    }
    return {"readings": found} if found else {}


def _plain(value: Any) -> Any:
    """Return a configuration as JSON values; ``dataclasses.asdict`` would copy each of them, which takes its time."""
    if dataclasses.is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def about_data(run: PlannedRun) -> dict[str, Any]:
    """Return the steps that results read of a run's alignment data: the data, and their perplexity under the LRM."""
    shift = {when: step.key for when, step in run.shift.items()}
    return {"data": run.data["alignment"].key, "shift": shift or None}


def write_sweep(plan: Plan, runs: Sequence[PlannedRun], outputs: Path) -> Path:
    """Write a sweep's record and return its folder."""
    names = [run.name for run in runs]
    folder = sweep_folder(plan, outputs)
    write_json(folder / "sweep.json", {"schema": 1, "id": plan.id, "name": folder.name, "runs": names})
    return folder


def outputs_folder(plan: Plan) -> Path:
    """Return the outputs folder of a plan as an absolute path."""
    return user_path(plan.runs[0].config.runtime.outputs, "runtime.outputs").absolute()


def sweep_folder(plan: Plan, outputs: Path) -> Path:
    """Return the folder of a sweep."""
    datasets = sorted({run.dataset for run in plan.runs if run.dataset})
    return outputs / "sweeps" / "-".join([plan.runs[0].config.model.name, *datasets[:4], plan.id])


def target_folder(plan: Plan, outputs: Path, sweep: bool) -> Path:
    """Return the folder that a plan's report goes to: the sweep's, or that of its only run."""
    return sweep_folder(plan, outputs) if sweep else outputs / "runs" / plan.runs[0].name
