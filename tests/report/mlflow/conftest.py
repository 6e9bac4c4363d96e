"""The sweep that tracking is tested with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from safetax.results.collect import collect
from tests.support.synthetic import make_outputs
from tests.support.tracked import World, connect


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and nothing in them: making them takes seconds, copying them none."""
    outputs = tmp_path_factory.mktemp("tables")
    connect(outputs).search_experiments()
    return outputs / "mlflow.db"


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two runs in a sweep, and no database."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    outputs = make_outputs(tmp_path / "outputs", ["safechain"], [0.0, 1.0], [0], prompts=10)
    for run in (outputs / "runs").iterdir():
        (run / "report.html").write_text(f"<h1>{run.name}</h1>")
    return World(outputs, collect([outputs]).results)


@pytest.fixture
def world(fresh: World, tables: Path) -> World:
    shutil.copy(tables, fresh.outputs / "mlflow.db")
    return fresh
