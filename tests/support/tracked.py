"""A sweep of two synthetic runs, and what MLflow holds of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetax.report.mlflow import tracking
from safetax.results.codec import to_json
from safetax.results.document import Results
from tests.support.places import ROOT


@dataclass
class World:
    outputs: Path
    results: Results

    @property
    def runs(self) -> list[Path]:
        return sorted((self.outputs / "runs").iterdir())

    @property
    def sweep(self) -> Path:
        return next(iter((self.outputs / "sweeps").iterdir()))

    def track(self, sweep: Path | None = None, inputs: str | None = None) -> None:
        tracking.track(self.runs, self.outputs, sweep, self.results, inputs)

    def start(self, sweep: Path | None = None, then: str = "") -> subprocess.Popen[str]:
        """Track in a process of its own: mlflow keeps a database open for as long as its process lives."""
        code = (
            "import json, sys; from pathlib import Path; from safetax.report.mlflow.tracking import track; "
            "outputs = Path(sys.argv[1]); sweep = Path(sys.argv[2]) if sys.argv[2] else None; "
            "from safetax.results.codec import from_json; from safetax.results.document import Results; "
            "results = from_json(Results, json.loads(sys.argv[3])); "
            f"track(sorted((outputs / 'runs').iterdir()), outputs, sweep, results); {then}"
        )
        command = [sys.executable, "-c", code, str(self.outputs), str(sweep or ""), json.dumps(to_json(self.results))]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def track_apart(self, sweep: Path | None = None, then: str = "") -> None:
        finish(self.start(sweep, then))

    def logged(self, **only: str) -> list[Any]:
        """The active runs that MLflow has, those with the given tags."""
        client = connect(self.outputs)
        found = client.search_runs([client.get_experiment_by_name("safetax").experiment_id])
        wanted = {f"safetax.{key}": value for key, value in only.items()}
        return [run for run in found if wanted.items() <= run.data.tags.items()]


def finish(process: subprocess.Popen[str]) -> None:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out + err == "", "mlflow and alembic are quiet"


def connect(outputs: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{outputs / 'mlflow.db'}")


def record(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "run.json").read_text())


def scores_of_aligned(document: dict[str, Any]) -> dict[str, Any]:
    return next(entry for entry in document["checkpoints"] if entry["role"] == "aligned")["scores"]


def change(directory: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    values = record(directory)
    edit(values)
    (directory / "run.json").write_text(json.dumps(values))
