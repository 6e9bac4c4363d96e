"""What MLflow is to hold of a run or a sweep, read from its record, its steps' manifests and the results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from safetax.config.flat import flatten
from safetax.results.document import Results, Score
from safetax.results.record import steps_of
from safetax.store.manifest import read_json, sha256_of

REPORT = "report.html"
TRACKED = "tracked.json"
TRACKED_SHAPE = {
    "digest": str,
    "place": str,
    "run": str,
    "sweep": (str, type(None)),
    "parent?": (str, type(None)),
    "inputs?": (str, type(None)),
}
CURVE_POINTS = 100
"""Most points of a curve that MLflow is given; a training's ``history.jsonl`` has all."""


@dataclass(frozen=True)
class Entry:
    """What MLflow is to hold of one run or sweep.

    ``curves`` are points ``(metric, value, time in ms, step)``, at most CURVE_POINTS for each training; ``metrics``
    stand at the run's end. ``sweep`` is the id of the sweep that the run belongs to.
    """

    directory: Path
    key: str
    id: str
    name: str
    end: int
    start: int
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    curves: list[tuple[str, float, int, int]] = field(default_factory=list)
    sweep: str | None = None

    @property
    def report(self) -> Path | None:
        """The report's page of this run or sweep, if there is one."""
        path = self.directory / REPORT
        return path if path.is_file() else None

    @property
    def digest(self) -> str:
        """A hash over all that MLflow is to hold."""
        content = [self.name, self.start, self.end, self.tags, self.params, self.metrics, self.curves, self.sweep]
        content.append(sha256_of(self.report) if self.report else None)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_tracked(directory: Path) -> dict[str, Any]:
    """Return what was written to MLflow of the run or sweep in a folder; empty where nothing was, or it is broken."""
    return read_json(directory / TRACKED, TRACKED_SHAPE) or {}


def read_sweep(directory: Path) -> Entry:
    """Return the entry of the sweep in ``outputs/sweeps/ID``; its times are those of its runs, and still 0."""
    record = json.loads((directory / "sweep.json").read_text(encoding="utf-8"))
    return Entry(
        directory=directory,
        key="safetax.sweep",
        id=record["id"],
        name=record["name"],
        start=0,
        end=0,
        tags={"safetax.runs": str(len(record["runs"]))},
    )


def read_run(directory: Path, outputs: Path, results: Results, sweep: Entry | None) -> Entry:
    """Return the entry of the run in ``outputs/runs/NAME``, as a part of ``sweep`` or of the sweep it was in before."""
    record = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    manifests = {step: read_json(outputs / step / "manifest.json") or {} for step in steps_of(record)}
    times = [manifest["provenance"] for manifest in manifests.values() if "provenance" in manifest]
    end = max((_milliseconds(entry["finished"]) for entry in times), default=0)
    tracked = read_tracked(directory)
    tags = {key: str(record[key]) for key in ("stage", "model", "dataset", "world") if record.get(key) is not None}
    return Entry(
        directory=directory,
        key="safetax.run",
        id=record["id"],
        name=record["name"],
        # Steps may be shared and days old: the time shown is what the run's steps took, not how long ago the first was.
        start=end - round(1000 * sum(entry.get("seconds", 0.0) for entry in times)),
        end=end,
        tags={**tags, "safetax.overrides": " ".join(record.get("overrides", []))},
        params=flatten(record["config"]),
        metrics=_metrics(record, results),
        curves=_curves(record, outputs, manifests),
        sweep=sweep.id if sweep else tracked.get("sweep"),
    )


def _metrics(record: Mapping[str, Any], results: Results) -> dict[str, float]:
    """Return scores as ``ROLE/METRIC`` and ``ROLE/BENCHMARK/JUDGE/METRIC``; the last one as ``METRIC`` too."""
    run = next((run for run in results.runs if run.id == record["id"]), None)
    if run is None:
        return {}
    found: dict[str, float] = {}
    for checkpoint in (results.by_id[identity] for identity in run.checkpoints):
        role = checkpoint.role
        found |= _scores(f"{role}/", checkpoint.scores)
        for when in ("after", "before"):
            found |= {
                f"{role}/perplexity/{when}/{part}": each.token for part, each in checkpoint.perplexities(when).items()
            }
        if checkpoint.id == run.checkpoints[-1]:
            found |= _scores("", checkpoint.scores)
        for name, benchmark in checkpoint.benchmarks.items():
            found[f"{role}/{name}/truncation_rate"] = float(benchmark.truncation_rate)
            for judge, given in benchmark.judges.items():
                found |= _scores(f"{role}/{name}/{judge}/", given.scores)
                found[f"{role}/{name}/{judge}/errors"] = float(given.errors)
    return found


def _scores(prefix: str, scores: Mapping[str, Score]) -> dict[str, float]:
    return {
        f"{prefix}{metric}{suffix}": float(value)
        for metric, score in scores.items()
        for suffix, value in (("", score.value), ("_low", score.low), ("_high", score.high))
    }


def _curves(
    record: Mapping[str, Any], outputs: Path, manifests: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, float, int, int]]:
    points = []
    for checkpoint in record["checkpoints"]:
        step = f"train/{checkpoint.get('train')}"
        history = outputs / step / "history.jsonl"
        if checkpoint.get("train") is None or not history.is_file():
            continue
        rows = [json.loads(line) for line in history.read_text(encoding="utf-8").split("\n") if line.strip()]
        provenance = manifests[step].get("provenance", {"finished": "1970-01-01T00:00:00+00:00", "seconds": 0.0})
        # The history has no clock. Times spread evenly over the step's own are the same whenever they are written.
        start = _milliseconds(provenance["finished"]) - 1000 * provenance["seconds"]
        for row in downsample(rows, CURVE_POINTS):
            now = round(start + 1000 * provenance["seconds"] * row["step"] / rows[-1]["step"])
            points += [
                (f"train/{checkpoint['role']}/{name}", float(value), now, row["step"])
                for name, value in row.items()
                if name not in ("step", "epoch") and value is not None
            ]
    return points


def downsample(rows: Sequence[Any], most: int) -> Sequence[Any]:
    """Return at most so many rows, evenly spread, the first and the last among them.

    Args:
        rows: the rows.
        most: how many, at least 2.
    """
    if len(rows) <= most:
        return rows
    return [rows[round(place * (len(rows) - 1) / (most - 1))] for place in range(most)]


def _milliseconds(moment: str) -> int:
    return round(1000 * datetime.fromisoformat(moment).timestamp())
