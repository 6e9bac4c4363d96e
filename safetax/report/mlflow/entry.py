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
from safetax.results.record import steps_of
from safetax.store.manifest import read_json, sha256_of

REPORT = "report.html"
TRACKED = "tracked.json"
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


def read_run(directory: Path, outputs: Path, results: Mapping[str, Any], sweep: Entry | None) -> Entry:
    """Return the entry of the run in ``outputs/runs/NAME``, as a part of ``sweep`` or of the sweep it was in before."""
    record = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    manifests = {step: read_json(outputs / step / "manifest.json") or {} for step in steps_of(record)}
    times = [manifest["provenance"] for manifest in manifests.values() if "provenance" in manifest]
    end = max((_milliseconds(entry["finished"]) for entry in times), default=0)
    tracked = read_json(directory / TRACKED) or {}
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


def _metrics(record: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, float]:
    """Return scores as ``ROLE/METRIC`` and ``ROLE/BENCHMARK/JUDGE/METRIC``; the last one as ``METRIC`` too."""
    run = next((run for run in results["runs"] if run["id"] == record["id"]), None)
    if run is None:
        return {}
    checkpoints = {checkpoint["id"]: checkpoint for checkpoint in results["checkpoints"]}
    found: dict[str, float] = {}

    def add(prefix: str, scores: Mapping[str, Mapping[str, Any]]) -> None:
        for metric, score in scores.items():
            for suffix, part in (("", "value"), ("_low", "low"), ("_high", "high")):
                if score.get(part) is not None:
                    found[f"{prefix}{metric}{suffix}"] = float(score[part])

    for place, identity in enumerate(run["checkpoints"]):
        checkpoint = checkpoints[identity]
        role = checkpoint["role"]
        add(f"{role}/", checkpoint["scores"])
        for when, parts in (checkpoint.get("shift") or {}).items():
            found |= {f"{role}/perplexity/{when}/{part}": each["token"] for part, each in (parts or {}).items() if each}
        if place == len(run["checkpoints"]) - 1:
            add("", checkpoint["scores"])
        for name, benchmark in checkpoint["benchmarks"].items():
            found[f"{role}/{name}/truncation_rate"] = float(benchmark["truncation_rate"])
            for judge, given in benchmark["judges"].items():
                add(f"{role}/{name}/{judge}/", given["scores"])
                found[f"{role}/{name}/{judge}/errors"] = float(given["errors"])
    return found


def _curves(
    record: Mapping[str, Any], outputs: Path, manifests: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, float, int, int]]:
    points = []
    for checkpoint in record["checkpoints"]:
        step = f"train/{checkpoint.get('train')}"
        history = outputs / step / "history.jsonl"
        if checkpoint.get("train") is None or not history.is_file():
            continue
        rows = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines() if line.strip()]
        provenance = manifests[step].get("provenance", {"finished": "1970-01-01T00:00:00+00:00", "seconds": 0.0})
        # The history has no clock. Times spread evenly over the step's own are the same whenever they are written.
        start = _milliseconds(provenance["finished"]) - 1000 * provenance["seconds"]
        for row in spread(rows, CURVE_POINTS):
            now = round(start + 1000 * provenance["seconds"] * row["step"] / rows[-1]["step"])
            points += [
                (f"train/{checkpoint['role']}/{name}", float(value), now, row["step"])
                for name, value in row.items()
                if name not in ("step", "epoch") and value is not None
            ]
    return points


def spread(rows: Sequence[Any], most: int) -> Sequence[Any]:
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
