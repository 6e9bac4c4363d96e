"""MLflow tracking: one writer, from run records, manifests and results alone.

A run of safetax is one run of MLflow, found again by its tag ``safetax.run``; a sweep is the parent of its runs. What
was written stands in ``tracked.json`` beside the record, so that tracking an unchanged run costs no import of mlflow.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from safetax.errors import UserError
from safetax.manifest import read_json, sha256_of, write_json
from safetax.report.record import flatten, show, steps_of

EXPERIMENT = "safetax"
REPORT = "report.html"
TRACKED = "tracked.json"
PATIENCE = 120.0
"""Seconds to wait for another process that is writing."""


@dataclass(frozen=True)
class Entry:
    """What MLflow is to hold of one run or sweep.

    ``curves`` are points ``(metric, value, time in ms, step)``; ``metrics`` stand at the run's end. ``sweep`` is the
    id of the sweep that the run belongs to.
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


def track(run_directories: Sequence[Path], outputs: Path, sweep: Path | None, results: Mapping[str, Any]) -> None:
    """Write runs, and the sweep that they belong to, to MLflow, or update them; does nothing when nothing changed.

    Args:
        run_directories: ``outputs/runs/NAME`` of each run, with its ``run.json`` and, if made, ``report.html``.
        outputs: the folder of the steps; the database is ``mlflow.db`` and artifacts lie in ``mlartifacts`` in it,
            unless the environment variable MLFLOW_TRACKING_URI names another place.
        sweep: ``outputs/sweeps/ID`` with its ``sweep.json`` and, if made, ``report.html``; None outside a sweep. A run
            of several sweeps stands under the one that was tracked last.
        results: the content of results.json, of which only the runs' own checkpoints are taken.

    Raises:
        UserError: the database cannot be used, or another process has been writing for two minutes.
    """
    parent = _read_sweep(sweep) if sweep else None
    entries = [_read_run(directory, outputs, results, parent) for directory in run_directories]
    if parent:
        ends = [entry.end for entry in entries]
        starts = [entry.start for entry in entries]
        parent = Entry(**{**vars(parent), "end": max(ends, default=0), "start": min(starts, default=0)})
    place = Place.of(outputs)
    everything = [*([parent] if parent else []), *entries]
    if all(place.holds(entry) for entry in everything):
        return
    with _only_writer(outputs / "mlflow.lock"):
        from safetax.mlflow_writer import Writer

        writer = Writer(place.uri, place.artifacts, EXPERIMENT)
        for entry in everything:
            if not place.holds(entry):
                run = writer.write(entry)
                tracked = {"digest": entry.digest, "place": place.identity, "run": run, "sweep": entry.sweep}
                write_json(entry.directory / TRACKED, tracked)


@dataclass(frozen=True)
class Place:
    """Where tracking goes: the address for MLflow, its SQLite file if it is ours, and where artifacts lie."""

    uri: str
    database: Path | None
    artifacts: str | None

    @classmethod
    def of(cls, outputs: Path) -> Place:
        """Return the place that the environment names, or else the database in ``outputs``."""
        artifacts = (outputs / "mlartifacts").resolve().as_uri()
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if uri:
            # A server says itself where its artifacts lie; for a bare database MLflow would use the current folder.
            return cls(uri, None, artifacts if uri.split("+")[0].split(":")[0] in _DATABASES else None)
        database = (outputs / "mlflow.db").resolve()
        return cls(f"sqlite:///{database}", database, artifacts)

    @property
    def identity(self) -> str:
        """A name of the place that holds no secret, as an address may, and does not change when ``outputs`` moves."""
        return "mlflow.db" if self.database else hashlib.sha256(self.uri.encode()).hexdigest()[:12]

    def holds(self, entry: Entry) -> bool:
        """Say whether the entry stands there as it is now; a server is trusted to have kept what it was given."""
        tracked = read_json(entry.directory / TRACKED) or {}
        if tracked.get("digest") != entry.digest or tracked.get("place") != self.identity:
            return False
        return self.database is None or _alive(self.database, tracked["run"])


_DATABASES = {"sqlite", "postgresql", "mysql", "mssql"}


def _alive(database: Path, run: str) -> bool:
    """Say whether the database has the run: asked of SQLite itself, for the sake of the seconds mlflow takes."""
    if not database.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            found = connection.execute("SELECT lifecycle_stage FROM runs WHERE run_uuid = ?", (run,)).fetchone()
    except sqlite3.Error:
        return False  # mlflow then says what is wrong, or mends it
    return found == ("active",)


@contextmanager
def _only_writer(lock: Path) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UserError(
                        f"Another process has been writing to MLflow for {PATIENCE:.0f} s: {lock}"
                    ) from None
                time.sleep(0.1)
        yield


def _read_sweep(directory: Path) -> Entry:
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


def _read_run(directory: Path, outputs: Path, results: Mapping[str, Any], sweep: Entry | None) -> Entry:
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
        params={key: show(value) for key, value in flatten(record["config"])},
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
        for row in rows:
            now = round(start + 1000 * provenance["seconds"] * row["step"] / rows[-1]["step"])
            points += [
                (f"train/{checkpoint['role']}/{name}", float(value), now, row["step"])
                for name, value in row.items()
                if name not in ("step", "epoch") and value is not None
            ]
    return points


def _milliseconds(moment: str) -> int:
    return round(1000 * datetime.fromisoformat(moment).timestamp())
