"""From the manifests of runs to one document with every score, its interval and its counts: ``results.json``.

The document is deterministic: it holds no clock, host or path. Those stand beside it, in ``provenance.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetax.curves import make_curves
from safetax.report.reader import Run, Steps, find_runs
from safetax.report.variants import variants
from safetax.scores import Measured, benchmark_scores, differences, headline_scores, measure
from safetax.statistics import CONFIDENCE

ROLES = ("base", "lrm", "aligned")

Document = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """The results document, and where and when its steps were made."""

    document: Document
    provenance: Document


@dataclass
class _Checkpoint:
    """A checkpoint as a run evaluated it, with the run that is the first to hold it."""

    entry: Mapping[str, Any]
    run: Run
    benchmarks: dict[str, Measured]
    documents: dict[str, Document]
    lrm: _Checkpoint | None = None
    id: str = ""
    variant: str = ""

    @property
    def role(self) -> str:
        return self.entry["role"]

    @property
    def name(self) -> str:
        return self.entry["train"] or self.entry["model"]


def collect(directories: Sequence[Path]) -> Results:
    """Read the runs of outputs folders, run folders or sweep folders and return their results.

    Raises UserError where there is no run, or where a step that a run needs is missing.
    """
    runs = find_runs(directories)
    steps = Steps(runs)
    checkpoints: dict[str, _Checkpoint] = {}
    held: list[list[_Checkpoint]] = []
    for run in runs:
        own = []
        for entry in run.record["checkpoints"]:
            key = _key(entry)
            if key not in checkpoints:
                checkpoints[key] = _evaluate(entry, run, steps)
            own.append(checkpoints[key])
        lrm = next((checkpoint for checkpoint in own if checkpoint.role == "lrm"), None)
        for checkpoint in own:
            if checkpoint.role != "base" and checkpoint.lrm is None:
                checkpoint.lrm = lrm
        held.append(own)
    _name(checkpoints)
    documents = {checkpoint.id: _document(checkpoint) for checkpoint in checkpoints.values()}
    document = {
        "schema": 1,
        "confidence": CONFIDENCE,
        "checkpoints": sorted(documents.values(), key=_place),
        "curves": make_curves(documents),
        "runs": [_run(run, own) for run, own in zip(runs, held, strict=True)],
    }
    return Results(_rounded(document), _provenance(runs, steps))


def write_results(results: Results, directory: Path) -> Path:
    """Write ``results.json`` and ``provenance.json`` into the folder and return the path of the first."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, value in [("results.json", results.document), ("provenance.json", results.provenance)]:
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        (directory / name).write_text(text + "\n", encoding="utf-8")
    return directory / "results.json"


def _key(entry: Mapping[str, Any]) -> str:
    """Return what makes two entries the same: the weights and how they were evaluated, headline judge first."""
    return json.dumps([entry["train"] or entry["model"], entry["evaluations"]])


def _evaluate(entry: Mapping[str, Any], run: Run, steps: Steps) -> _Checkpoint:
    benchmarks, documents = {}, {}
    for evaluation in entry["evaluations"]:
        summary = steps.manifest(f"generate/{evaluation['generate']}", run)["summary"]
        judged: dict[str, Document] = {}
        measured = {}
        for judge, fingerprint in evaluation["scores"].items():
            measured[judge] = measure(evaluation, steps.verdicts(fingerprint, run), summary["truncated"])
            judged[judge] = {"scores": benchmark_scores(measured[judge]), "errors": measured[judge].errors}
        first = next(iter(measured))
        name = evaluation["benchmark"]
        benchmarks[name] = measured[first]
        responses = summary["responses"]
        documents[name] = {
            "measures": evaluation["measures"],
            "headline": evaluation["headline"],
            "thinking": evaluation["thinking"],
            "judge": first,
            "judges": judged,
            "n": measured[first].prompts,
            "responses": responses,
            "truncated": summary["truncated"],
            "truncation_rate": 100 * summary["truncated"] / responses if responses else 0.0,
            "mean_tokens": summary["tokens"] / responses if responses else 0.0,
            "steps": {key: evaluation[key] for key in ("prompts", "generate", "scores")},
        }
    return _Checkpoint(entry, run, benchmarks, documents)


def _name(checkpoints: Mapping[str, _Checkpoint]) -> None:
    """Set ids and variants: the same weights evaluated in two ways are two checkpoints and have two ids."""
    same: dict[str, list[str]] = defaultdict(list)
    alike: dict[tuple[Any, ...], list[_Checkpoint]] = defaultdict(list)
    for key, checkpoint in checkpoints.items():
        same[checkpoint.name].append(key)
        record = checkpoint.run.record
        # An aligned model differs from its like by any setting; a base or LRM only from one of the same seed.
        which = record["dataset"] if checkpoint.role == "aligned" else record["lrm_seed"]
        alike[checkpoint.role, record["model"], which].append(checkpoint)
    for name, keys in same.items():
        for key in keys:
            suffix = "-" + hashlib.sha256(key.encode()).hexdigest()[:4] if len(keys) > 1 else ""
            checkpoints[key].id = name + suffix
    for (role, *_), group in alike.items():
        without = () if role == "aligned" else ("dataset", "alignment")
        configs = [checkpoint.run.record["config"] for checkpoint in group]
        for checkpoint, variant in zip(group, variants(configs, without), strict=True):
            checkpoint.variant = variant


def _document(checkpoint: _Checkpoint) -> Document:
    record = checkpoint.run.record
    aligned = checkpoint.role == "aligned"
    scores = headline_scores(checkpoint.benchmarks)
    if checkpoint.lrm is not None:
        scores |= differences(checkpoint.lrm.benchmarks, checkpoint.benchmarks)
    return {
        "id": checkpoint.id,
        "role": checkpoint.role,
        "model": checkpoint.entry["model"],
        "dataset": record["dataset"] if aligned else None,
        "variant": checkpoint.variant,
        "epochs": float(record["epochs"]) if aligned else 0.0 if checkpoint.role == "lrm" else None,
        "seed": record["seed"] if aligned else None,
        "lrm_seed": record["lrm_seed"],
        "lrm": checkpoint.lrm.id if aligned and checkpoint.lrm else None,
        "benchmarks": checkpoint.documents,
        "scores": scores,
    }


def _place(checkpoint: Document) -> tuple[Any, ...]:
    return (
        checkpoint["model"],
        ROLES.index(checkpoint["role"]),
        checkpoint["dataset"] or "",
        checkpoint["variant"],
        checkpoint["epochs"] or 0.0,
        checkpoint["lrm_seed"],
        checkpoint["seed"] or 0,
        checkpoint["id"],
    )


def _run(run: Run, own: Sequence[_Checkpoint]) -> Document:
    keys = ("name", "id", "stage", "model", "dataset", "epochs", "seed", "lrm_seed", "world")
    return {key: run.record.get(key) for key in keys} | {"checkpoints": [checkpoint.id for checkpoint in own]}


def _provenance(runs: Sequence[Run], steps: Steps) -> Document:
    named = [step for run in runs for step in run.record.get("steps", [])]
    for run in runs:
        for entry in run.record["checkpoints"]:
            for evaluation in entry["evaluations"]:
                named.append(f"generate/{evaluation['generate']}")
                named.extend(f"score/{fingerprint}" for fingerprint in evaluation["scores"].values())
    listed = {}
    for step in steps.ancestry(named):
        manifest, folder = steps.known(step)
        listed[step] = manifest["provenance"] | {"title": manifest["title"], "folder": str(folder)}
    return {"schema": 1, "runs": {run.name: str(run.outputs / "runs" / run.name) for run in runs}, "steps": listed}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    # Adding 0 turns -0.0 into 0.0.
    return round(value, 6) + 0.0 if isinstance(value, float) else value
