"""What a command leaves in its outputs folder, as what is held against an undisturbed run."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

DATABASE = "mlflow.db"
PORT = re.compile(rb"(?<=127\.0\.0\.1):\d+")
RESULTS = ("results.json", "table.csv", "table.md", "table.tex")
"""Results of a run or a sweep; its page says also when and how long steps were made."""
OF_THE_TIME = ("report.json", "tracked.json")
"""What holds the time that a report was drawn at, or names that MLflow drew."""


def finished(outputs: Path) -> dict[str, str]:
    """Return when each finished step was made, by its key."""
    return {key: json.dumps(manifest["provenance"], sort_keys=True) for key, manifest in _manifests(outputs).items()}


def _manifests(outputs: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for path in outputs.glob("*/*/manifest.json"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            manifest = json.loads(path.read_text())
            key = f"{manifest['kind']}/{manifest['fingerprint']}"
            if key == f"{path.parent.parent.name}/{path.parent.name}":
                found[key] = {"provenance": manifest["provenance"], "outputs": list(manifest["outputs"])}
    return found


def results(outputs: Path) -> dict[str, bytes]:
    """Return the outputs of all steps, weights too, and the results of all runs and sweeps, as files."""
    paths = [outputs / key / name for key, manifest in _manifests(outputs).items() for name in manifest["outputs"]]
    paths += [path for path in _reports(outputs) if path.name in RESULTS]
    return {path.relative_to(outputs).as_posix(): path.read_bytes() for path in paths if path.is_file()}


def report(outputs: Path) -> dict[str, bytes]:
    """Return the whole reports of runs and sweeps as files, but for what holds the time that it was drawn at."""
    chosen = [path for path in _reports(outputs) if path.suffix != ".pdf" and path.name not in OF_THE_TIME]
    # Each fault has a server of its own, at another port.
    return {path.relative_to(outputs).as_posix(): PORT.sub(b"", path.read_bytes()) for path in chosen}


def _reports(outputs: Path) -> list[Path]:
    found = [path for top in ("runs", "sweeps") for path in outputs.glob(f"{top}/*/**/*")]
    return [path for path in found if path.is_file() and "hydra" not in path.parts]


def tracked(outputs: Path) -> list[tuple[Any, ...]]:
    """Return what MLflow's database holds of runs that are not deleted: names, parameters, tags and last metrics."""
    with closing(sqlite3.connect(outputs / DATABASE)) as connection:
        rows = connection.execute("SELECT name, '', status, '' FROM runs WHERE lifecycle_stage = 'active'").fetchall()
        for table in ("params", "latest_metrics", "tags"):
            asked = f"SELECT name, '{table}', key, value FROM runs JOIN {table} USING (run_uuid)"
            rows += connection.execute(f"{asked} WHERE lifecycle_stage = 'active'").fetchall()
    # A parent is named by an id that MLflow drew, and a page holds the time.
    return sorted(row for row in rows if row[2] not in ("mlflow.parentRunId", "safetax.report"))


def kinds_of_files(outputs: Path) -> dict[str, list[Path]]:
    """Return the files of an outputs folder by what they are, such as ``train/model/config.json``."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(outputs.rglob("*")):
        if path.is_file():
            top, *rest = path.relative_to(outputs).parts
            found["/".join([top, *rest[1:]]) if top not in ("locks", "cache", "mlartifacts") else top].append(path)
    return found


def copied(source: Path, target: Path) -> Path:
    """Copy an outputs folder with its times, and return the copy."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)
    return target
