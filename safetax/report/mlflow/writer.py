"""Writes entries to MLflow so that writing again updates; the one place that imports mlflow."""

from __future__ import annotations

import filecmp
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from safetax.errors import UserError
from safetax.report.mlflow.entry import Entry
from safetax.store.manifest import sha256_of

KEY_LENGTH, VALUE_LENGTH, TAG_LENGTH = 250, 6000, 5000
ALL_AT_ONCE, PARAMS_AT_ONCE = 1000, 100
"""What MLflow takes in one batch: entries of all kinds, and parameters or tags among them."""
REPORT_TAG = "safetax.report"
SWEEPS_TAG = "safetax.sweeps"
PARENT_TAG = "mlflow.parentRunId"


Point = tuple[str, float, int, int]
"""Metric, value, time in ms and step."""


class Writer:
    """Holds one experiment of one MLflow server or database."""

    def __init__(self, uri: str, artifacts: str | None, experiment: str) -> None:
        """Open or make the experiment at ``uri``; ``artifacts`` is where a new one keeps its artifacts."""
        client = _client(uri)
        self.client = client
        self._parents: dict[str, str | None] = {}
        self._database = _engine(uri) if uri.startswith("sqlite:") else None
        found = client.get_experiment_by_name(experiment)
        self._is_new = found is None and self._database is not None
        """Whether nobody else can have written a run yet."""
        if found is None:
            # The kind that the dashboard knows experiments of model training by.
            tags = {"mlflow.experimentKind": "custom_model_development"}
            self.experiment = str(client.create_experiment(experiment, artifacts, tags=tags))
            return
        self.experiment = str(found.experiment_id)
        if found.lifecycle_stage != "active":
            client.restore_experiment(self.experiment)
            # That brings back all of its runs, those too that were replaced long ago.
            while runs := client.search_runs([self.experiment]):
                for run in runs:
                    client.delete_run(run.info.run_id)
        if artifacts and uri.startswith("sqlite:") and found.artifact_location.rstrip("/") != artifacts:
            raise UserError(
                f"The MLflow database {uri} keeps its artifacts at {found.artifact_location}, not at {artifacts}: it "
                "was moved or copied. Delete it and run again: it is written anew from the records of the runs."
            )

    def write(self, entry: Entry) -> str:
        """Make MLflow hold the entry as it is and return the id of its run there.

        MLflow cannot change a parameter or take back a metric or curve. Where an update would have to, the run is
        replaced: the old one is deleted and its tags, so also a reader's notes, are kept.
        """
        params = _params(entry.params)
        metrics = {_key(key): value for key, value in entry.metrics.items()}
        curves = [(_key(key), value, now, step) for key, value, now, step in entry.curves]
        known = {*metrics, *(key for key, *_ in curves)}
        found = None if self._is_new else self._find(entry.key, entry.id)
        kept: dict[str, str] = {}
        if found is not None and not self._can_become(found, params, known, curves):
            kept = dict(found.data.tags)
            self.client.delete_run(found.info.run_id)
            found = None
        if found is None:
            kept = {key: value for key, value in kept.items() if key != REPORT_TAG}
            tags = {**kept, **self._tags(entry, kept)}
            found = self.client.create_run(self.experiment, start_time=entry.start, tags=tags, run_name=entry.name)
        self._update(found, entry, params, metrics, curves)
        return str(found.info.run_id)

    def _find(self, key: str, value: str) -> Any | None:
        quoted = value.replace("'", "")
        found = self.client.search_runs([self.experiment], f"tags.`{key}` = '{quoted}'", max_results=1)
        return found[0] if found else None

    def _can_become(self, run: Any, params: Mapping[str, str], metrics: set[str], curves: Sequence[Any]) -> bool:
        if any(params.get(key) != value for key, value in run.data.params.items()):
            return False
        if set(run.data.metrics) - metrics:
            return False
        last = {key: value for key, value, _, _ in curves}
        return all(run.data.metrics[key] == value for key, value in last.items() if key in run.data.metrics)

    def _update(
        self,
        run: Any,
        entry: Entry,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        curves: Sequence[Point],
    ) -> None:
        identity = run.info.run_id
        # The newest value of a metric is the one that MLflow shows, so a changed one needs a later time than the first.
        now = int(time.time() * 1000) if run.data.metrics else entry.end
        points = [point for point in curves if point[0] not in run.data.metrics]
        points += [(key, value, now, 0) for key, value in metrics.items() if run.data.metrics.get(key) != value]
        new = {key: value for key, value in params.items() if key not in run.data.params}
        tags = self._tags(entry, run.data.tags)
        if entry.report:
            content = sha256_of(entry.report)
            if run.data.tags.get(REPORT_TAG) != content or not _is_kept(run.info.artifact_uri, entry.report):
                self.client.log_artifact(identity, str(entry.report))
                tags[REPORT_TAG] = content
        changed = {key: value for key, value in tags.items() if run.data.tags.get(key) != value}
        fresh = not run.data.metrics and not run.data.params and all(isfinite(value) for _, value, _, _ in points)
        if self._database and fresh:
            self._log(identity, [], {}, changed)
            _insert(self._database, identity, points, new, entry.end)
            return
        self._log(identity, points, new, changed)
        self.client.set_terminated(identity, "FINISHED", end_time=entry.end)

    def _tags(self, entry: Entry, known: Mapping[str, str]) -> dict[str, str]:
        """Return the tags of an entry, whose run has the tags ``known`` already."""
        tags = {**entry.tags, entry.key: entry.id, "mlflow.runName": entry.name}
        if entry.sweep:
            tags[SWEEPS_TAG] = " ".join(dict.fromkeys([*known.get(SWEEPS_TAG, "").split(), entry.sweep]))
            if parent := self._parent(entry.sweep):
                tags[PARENT_TAG] = parent
        return {key: value[:TAG_LENGTH] for key, value in tags.items()}

    def _log(self, run: str, points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Log in as few batches as MLflow's limits allow: each is several transactions."""
        from mlflow.entities import Metric, Param, RunTag

        metrics, rest = [Metric(*point) for point in points], [Param(*item) for item in params.items()]
        new_tags = [RunTag(*item) for item in tags.items()]
        while metrics or rest or new_tags:
            some_tags, some_params = new_tags[:PARAMS_AT_ONCE], rest[:PARAMS_AT_ONCE]
            some = metrics[: ALL_AT_ONCE - len(some_tags) - len(some_params)]
            self.client.log_batch(run, metrics=some, params=some_params, tags=some_tags)
            metrics, rest, new_tags = metrics[len(some) :], rest[PARAMS_AT_ONCE:], new_tags[PARAMS_AT_ONCE:]

    def _parent(self, sweep: str) -> str | None:
        """Return MLflow's run of a sweep, looked up once."""
        if sweep not in self._parents:
            found = self._find("safetax.sweep", sweep)
            self._parents[sweep] = found and str(found.info.run_id)
        return self._parents[sweep]


def _is_kept(artifacts: str, page: Path) -> bool:
    """Say whether a folder of artifacts on this machine holds a page; a server is trusted to have kept it."""
    address = urlsplit(artifacts)
    kept = Path(url2pathname(address.path)) / page.name
    return address.scheme != "file" or (kept.is_file() and filecmp.cmp(page, kept, shallow=False))


def _client(uri: str) -> Any:
    # Not to send what is measured here anywhere; must stand before the import.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri)


@contextmanager
def unsynced() -> Iterator[None]:
    """Let SQLite not wait for the disk, for a database that is made anew and can be made again from the records.

    Its several hundred transactions, most of them MLflow's own migrations, wait for the disk once each.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def relax(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", relax)
    try:
        yield
    finally:
        event.remove(Engine, "connect", relax)


def _insert(database: Any, run: str, points: Sequence[Point], params: Mapping[str, str], end: int) -> None:
    """Insert metrics and parameters of a run that has none as rows, and end it, in one transaction.

    MLflow itself makes an object of each, which takes most of the time of a large sweep.
    """
    from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun
    from sqlalchemy import insert, update

    columns = ("key", "value", "timestamp", "step")
    rows = [{**dict(zip(columns, point, strict=True)), "run_uuid": run, "is_nan": False} for point in points]
    latest = {row["key"]: row for row in sorted(rows, key=lambda row: (row["step"], row["timestamp"]))}
    settings = [{"key": key, "value": value, "run_uuid": run} for key, value in params.items()]
    tables = ((SqlMetric, rows), (SqlLatestMetric, list(latest.values())), (SqlParam, settings))
    with database.begin() as connection:
        for table, held in tables:
            if held:
                connection.execute(insert(table), held)
        connection.execute(update(SqlRun).where(SqlRun.run_uuid == run).values(status="FINISHED", end_time=end))


def _engine(uri: str) -> Any:
    from sqlalchemy import create_engine

    return create_engine(uri)


def _key(name: str) -> str:
    """Return the name with what MLflow allows in keys alone."""
    return re.sub(r"[^\w\-. /]", "_", name, flags=re.ASCII)[:KEY_LENGTH]


def _params(params: Mapping[str, str]) -> dict[str, str]:
    return {_key(key): value[:VALUE_LENGTH] for key, value in params.items()}
