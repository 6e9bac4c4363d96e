"""Tracking in MLflow, read back through MLflow's own client."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from safetax.errors import UserError
from safetax.report.mlflow import tracking
from tests.support.documents import checkpoint_of
from tests.support.tracked import World, change, connect, finish, record

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)


def test_a_run_has_its_settings_curves_scores_and_report(world: World) -> None:
    world.track()
    (directory,) = (path for path in world.runs if record(path)["epochs"])
    (run,) = world.logged(run=record(directory)["id"])
    assert run.info.run_name == directory.name
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time > 1000
    assert run.data.params["alignment.learning_rate"] == "0.0001"
    assert run.data.params["model.name"] == "lab"
    assert run.data.tags["dataset"] == "safechain"
    aligned = checkpoint_of(world.results, role="aligned")
    for part, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
        assert run.data.metrics[f"safety_tax{suffix}"] == getattr(aligned.scores["safety_tax"], part)
        assert run.data.metrics[f"aligned/harmful_score{suffix}"] == getattr(aligned.scores["harmful_score"], part)
    assert run.data.metrics["lrm/lab_harmful/keywords/errors"] == 0
    history = [json.loads(line) for line in (world.outputs / "train" / aligned.id / "history.jsonl").open()]
    client = connect(world.outputs)
    curve = client.get_metric_history(run.info.run_id, "train/aligned/loss")
    assert [(point.step, point.value) for point in curve] == [(row["step"], row["loss"]) for row in history]
    assert {"train/base/loss", "train/lrm/learning_rate"} <= set(run.data.metrics)
    (artifact,) = client.list_artifacts(run.info.run_id)
    assert artifact.path == "report.html"
    assert next((world.outputs / "mlartifacts").rglob("report.html")).read_text().startswith("<h1>")


def test_a_folder_with_signs_of_addresses_keeps_its_database(fresh: World, tables: Path, tmp_path: Path) -> None:
    """``%20`` is no space, and nothing behind a question mark is lost."""
    outputs = tmp_path / "50%20off?x=1#y" / "[bold] outputs"
    outputs.parent.mkdir()
    fresh.outputs.rename(outputs)
    shutil.copy(tables, outputs / "mlflow.db")
    before = set(tmp_path.rglob("mlflow.db"))
    moved = World(outputs, fresh.results)
    moved.track()
    assert set(tmp_path.rglob("mlflow.db")) == before
    with closing(sqlite3.connect(outputs / "mlflow.db")) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone()[0] >= 2
    artifacts = list((outputs / "mlartifacts").rglob("report.html"))
    assert len(artifacts) == 2


def test_an_unchanged_run_is_not_written_again_and_mlflow_not_imported(world: World) -> None:
    world.track()
    before = [(path, path.read_bytes()) for path in world.outputs.glob("*.db")]
    world.track_apart(then="assert not {'mlflow', 'torch', 'sqlalchemy'} & set(sys.modules)")
    assert [(path, path.read_bytes()) for path in world.outputs.glob("*.db")] == before


def test_what_was_written_from_the_same_inputs_is_not_even_compared(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.track(world.sweep, "one")
    read = tracking.read_run
    monkeypatch.setattr(tracking, "read_run", lambda *_: pytest.fail("nothing has changed"))
    world.track(world.sweep, "one")
    seen: list[Path] = []
    monkeypatch.setattr(tracking, "read_run", lambda *rest: seen.append(rest[0]) or read(*rest))
    world.track(world.sweep, "two")
    assert seen == world.runs, "other inputs are looked at"
    world.track(world.sweep, "two")
    assert seen == world.runs
    run = next(run for run in world.logged() if "safetax.run" in run.data.tags)
    connect(world.outputs).delete_run(run.info.run_id)
    world.track(world.sweep, "two")
    assert seen == 2 * world.runs, "and so is what the database has lost"


def test_a_sweep_is_the_parent_of_its_runs(world: World) -> None:
    world.track()
    assert len(world.logged()) == 2
    world.track(world.sweep)
    (parent,) = world.logged(sweep=world.sweep.name)
    children = [run for run in world.logged() if "safetax.run" in run.data.tags]
    assert len(children) == 2
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}

    # A parent that was deleted in the dashboard comes back, with its children.
    connect(world.outputs).delete_run(parent.info.run_id)
    world.track(world.sweep)
    (parent,) = world.logged(sweep=world.sweep.name)
    children = [run for run in world.logged() if "safetax.run" in run.data.tags]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    world.track_apart(world.sweep, then="assert 'mlflow' not in sys.modules")

    # A run alone, later, stays where it was; in another sweep it moves there and both are noted.
    world.track()
    other = world.outputs / "sweeps" / "0123456789ab"
    other.mkdir()
    name = world.runs[0].name
    (other / "sweep.json").write_text(json.dumps({"schema": 1, "id": other.name, "name": "other", "runs": [name]}))
    tracking.track(world.runs[:1], world.outputs, other, world.results)
    (second,) = world.logged(sweep=other.name)
    (moved,) = world.logged(run=record(world.runs[0])["id"])
    (stayed,) = world.logged(run=record(world.runs[1])["id"])
    assert moved.data.tags["mlflow.parentRunId"] == second.info.run_id
    assert moved.data.tags["safetax.sweeps"] == f"{world.sweep.name} {other.name}"
    assert stayed.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert len(world.logged()) == 4


def test_what_was_deleted_in_the_dashboard_is_written_again(world: World) -> None:
    world.track()
    client = connect(world.outputs)
    client.delete_run(world.logged()[0].info.run_id)
    world.track()
    assert len(world.logged()) == 2
    client.delete_experiment(client.get_experiment_by_name("safetax").experiment_id)
    world.track()
    assert len(world.logged()) == 2


DAMAGES: dict[str, Callable[[Path], object]] = {
    "overwritten": lambda path: path.write_bytes(b"no database" * 10),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_is_named_and_written_anew_when_it_is_removed(world: World, damage: str) -> None:
    world.track_apart(world.sweep)
    database = world.outputs / "mlflow.db"
    DAMAGES[damage](database)
    process = world.start(world.sweep)
    told = process.communicate(timeout=300)[1].splitlines()[-1]
    assert process.returncode != 0
    assert re.search(f"UserError: {re.escape(str(database))}.*[Rr]emove it, then run the same command again", told), (
        told
    )
    shutil.rmtree(database) if database.is_dir() else database.unlink()
    world.track_apart(world.sweep)
    assert len(world.logged()) == 3


def test_a_page_that_is_no_longer_among_the_artifacts_as_it_was_is_put_there_again(world: World) -> None:
    world.track(inputs="one")
    for spoil in (Path.unlink, lambda path: path.write_text("other")):
        page = next((world.outputs / "mlartifacts").rglob("report.html"))
        before = page.read_bytes()
        spoil(page)
        world.track(inputs="one")
        assert page.read_bytes() == before
    assert len(world.logged()) == 2


@pytest.mark.parametrize("content", ["[]", "{}", '{"digest": 1}', "cut", '{"run": ["a list"], "inputs": "one"}'])
def test_a_damaged_record_of_what_was_written_writes_nothing_twice(world: World, content: str) -> None:
    world.track(world.sweep, "one")
    for directory in (*world.runs, world.sweep):
        (directory / "tracked.json").write_text(content)
    world.track(world.sweep, "one")
    assert len(world.logged()) == 3


@pytest.mark.slow
def test_a_moved_folder_is_not_written_to_its_old_place_and_a_removed_database_is_written_again(world: World) -> None:
    world.track_apart()
    moved = World(world.outputs.rename(world.outputs.with_name("moved")), world.results)
    moved.track_apart(then="assert 'mlflow' not in sys.modules")
    change(moved.runs[0], lambda values: values["config"].update(more=1))
    process = moved.start()
    assert "Delete it and run again" in process.communicate(timeout=300)[1]
    assert process.returncode != 0
    assert not world.outputs.exists()
    (moved.outputs / "mlflow.db").unlink()
    shutil.rmtree(moved.outputs / "mlartifacts")
    moved.track_apart()
    assert len(moved.logged()) == 2
    assert len(list((moved.outputs / "mlartifacts").rglob("report.html"))) == 2


def test_the_environment_names_another_place_and_its_address_is_not_kept(
    fresh: World, tables: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copy(tables, tmp_path / "secret.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/secret.db")
    monkeypatch.chdir(tmp_path)
    fresh.track()
    assert not (fresh.outputs / "mlflow.db").exists()
    assert not (tmp_path / "mlruns").exists()
    assert len(list((fresh.outputs / "mlartifacts").rglob("report.html"))) == 2
    assert "secret" not in (fresh.runs[0] / "tracked.json").read_text()
    fresh.track_apart(then="assert 'mlflow' not in sys.modules")

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    shutil.copy(tables, fresh.outputs / "mlflow.db")
    fresh.track()
    assert len(fresh.logged()) == 2


@pytest.mark.slow
def test_two_processes_at_once_write_each_run_once(fresh: World) -> None:
    for process in [fresh.start(fresh.sweep), fresh.start(fresh.sweep)]:
        finish(process)
    assert len(fresh.logged()) == 3


def test_a_lock_that_is_never_freed_is_an_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    monkeypatch.setattr(tracking, "LOCK_TIMEOUT", 0.3)
    with (world.outputs / "mlflow.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"mlflow\.lock"):
            world.track()


@pytest.fixture
def dashboard(world: World) -> Iterator[str]:
    world.track(world.sweep)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{world.outputs / 'mlflow.db'}"]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = (world.outputs / "server.log").open("w")
    server = subprocess.Popen(
        command, env=environment, stdout=log, stderr=log, start_new_session=True, cwd=world.outputs
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (world.outputs / "server.log").read_text()
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.3)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)
        log.close()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)")
def test_the_dashboard_shows_sweep_and_runs(world: World, dashboard: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"],
        )
        page = chromium.new_page(viewport={"width": 1500, "height": 900})
        page.goto(f"{dashboard}/#/experiments/1/runs")
        page.get_by_text("lab figure").first.wait_for(timeout=90_000)
        if shots := os.environ.get("SAFETAX_SCREENSHOTS"):
            page.screenshot(path=f"{shots}/mlflow-runs.png")
        (directory,) = (path for path in world.runs if record(path)["epochs"])
        (run,) = world.logged(run=record(directory)["id"])
        page.goto(f"{dashboard}/#/experiments/1/runs/{run.info.run_id}")
        page.get_by_text(directory.name).first.wait_for(timeout=90_000)
        page.get_by_text("safety_tax").first.wait_for(timeout=90_000)
        if shots:
            page.screenshot(path=f"{shots}/mlflow-run.png")
        chromium.close()
