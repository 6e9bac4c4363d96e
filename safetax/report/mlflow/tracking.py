"""MLflow tracking: one writer, from run records, manifests and results alone.

A run of safetax is one run of MLflow, found again by its tag ``safetax.run``; a sweep is the parent of its runs. What
was written stands in ``tracked.json`` beside the record, so that tracking an unchanged run costs no import of mlflow.
"""

from __future__ import annotations

import errno
import filecmp
import gc
import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from safetax.errors import AGAIN, UserError, explained
from safetax.report.mlflow.entry import REPORT, TRACKED, Entry, read_run, read_sweep, read_tracked
from safetax.results.document import Results
from safetax.store.manifest import write_json

EXPERIMENT = "safetax"
ARTIFACTS = "mlartifacts"
LOCK_TIMEOUT = 120.0
"""Seconds to wait for another process that is writing."""


def track(
    run_directories: Sequence[Path], outputs: Path, sweep: Path | None, results: Results, inputs: str | None = None
) -> None:
    """Write runs, and the sweep that they belong to, to MLflow, or update them; does nothing when nothing changed.

    Args:
        run_directories: ``outputs/runs/NAME`` of each run, with its ``run.json`` and, if made, ``report.html``.
        outputs: the folder of the steps; the database is ``mlflow.db`` and artifacts lie in ``mlartifacts`` in it,
            unless the environment variable MLFLOW_TRACKING_URI names another place.
        sweep: ``outputs/sweeps/ID`` with its ``sweep.json`` and, if made, ``report.html``; None outside a sweep. A run
            of several sweeps stands under the one that was tracked last.
        results: results, of which only the runs' own checkpoints are taken.
        inputs: a digest of all that results and records were made from; what was written from the same is not made
            again to be compared. None: it is not known.

    Raises:
        UserError: the database cannot be used, or another process has been writing for two minutes.
    """
    place = Place.of(outputs)
    directories = [*([sweep] if sweep else []), *run_directories]
    if inputs is not None and all(place.holds_inputs(directory, inputs) for directory in directories):
        return
    parent = read_sweep(sweep) if sweep else None
    entries = [read_run(directory, outputs, results, parent) for directory in run_directories]
    if parent:
        end = max((entry.end for entry in entries), default=0)
        parent = replace(parent, start=min((entry.start for entry in entries), default=0), end=end)
    everything = [*([parent] if parent else []), *entries]
    above = read_tracked(parent.directory).get("run") if parent else None
    if all(place.holds(entry, None if entry is parent else above) for entry in everything):
        for entry in everything:
            write_json(entry.directory / TRACKED, {**read_tracked(entry.directory), "inputs": inputs})
        return
    with _only_writer(outputs / "mlflow.lock"), ExitStack() as held:
        from safetax.report.mlflow.writer import Writer, unsynced

        if place.database is not None:
            if place.database.exists():
                _check(place.database)
            else:
                held.enter_context(unsynced())
        writer = Writer(place.uri, place.artifacts, EXPERIMENT)
        above = None
        gc.freeze()  # mlflow's own many objects stay; looking through them took a sixth of the time of a large sweep
        try:
            for entry in everything:
                if not place.holds(entry, above):
                    run = writer.write(entry)
                    tracked = {"digest": entry.digest, "place": place.identity, "run": run, "sweep": entry.sweep}
                    write_json(entry.directory / TRACKED, {**tracked, "parent": above, "inputs": inputs})
                if entry is parent:
                    above = read_tracked(entry.directory).get("run")
        finally:
            gc.unfreeze()


@dataclass(frozen=True)
class Place:
    """Where tracking goes: the address for MLflow, its SQLite file if it is ours, and where artifacts lie."""

    uri: str
    database: Path | None
    artifacts: str | None

    @classmethod
    def of(cls, outputs: Path) -> Place:
        """Return the place that the environment names, or else the database in ``outputs``."""
        artifacts = (outputs / ARTIFACTS).resolve().as_uri()
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if uri:
            # A server says itself where its artifacts lie; for a bare database MLflow would use the current folder.
            return cls(uri, None, artifacts if uri.split("+")[0].split(":")[0] in _DATABASES else None)
        database = (outputs / "mlflow.db").resolve()
        return cls(f"sqlite:///{quote(str(database))}", database, artifacts)

    @property
    def identity(self) -> str:
        """A name of the place that holds no secret, as an address may, and does not change when ``outputs`` moves."""
        return "mlflow.db" if self.database else hashlib.sha256(self.uri.encode()).hexdigest()[:12]

    def holds(self, entry: Entry, parent: str | None) -> bool:
        """Say whether the entry stands there as it is now, below MLflow's run ``parent`` if that is given.

        A server is trusted to have kept what it was given.
        """
        tracked = read_tracked(entry.directory)
        if tracked.get("digest") != entry.digest or tracked.get("place") != self.identity:
            return False
        if parent is not None and tracked.get("parent") != parent:
            return False
        return self._keeps(entry.directory, tracked["run"])

    def holds_inputs(self, directory: Path, inputs: str) -> bool:
        """Say whether what was made from the same records, manifests and code stands there."""
        tracked = read_tracked(directory)
        if tracked.get("inputs") != inputs or tracked.get("place") != self.identity:
            return False
        return self._keeps(directory, tracked["run"])

    def _keeps(self, directory: Path, run: str) -> bool:
        """Say whether our own database has the run, and beside it the report's page if there is one."""
        if self.database is None:
            return True
        page, kept = directory / REPORT, self.database.parent / ARTIFACTS / run / "artifacts" / REPORT
        if page.is_file() and not (kept.is_file() and filecmp.cmp(page, kept, shallow=False)):
            return False
        return _alive(self.database, run)


_DATABASES = {"sqlite", "postgresql", "mysql", "mssql"}


def _alive(database: Path, run: str) -> bool:
    """Say whether the database has the run: asked of SQLite itself, for the sake of the seconds mlflow takes."""
    if not database.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            found = connection.execute("SELECT lifecycle_stage FROM runs WHERE run_uuid = ?", (run,)).fetchone()
    except sqlite3.Error:
        return False
    return found == ("active",)


def _check(database: Path) -> None:
    """Check that a database can be read; raises UserError where it was cut, overwritten or is a folder.

    MLflow itself would tell it as an exception of SQL.
    """
    if not database.is_file():
        raise UserError(explained(IsADirectoryError(errno.EISDIR, "", str(database))))
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:  # it is locked, or may not be read: nothing is wrong with what it holds
        return
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        found = " ".join(found.split())
        raise UserError(f"{database} is damaged ({found}). Remove it, then {AGAIN}, and it is written anew from them.")


@contextmanager
def _only_writer(lock: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=LOCK_TIMEOUT, poll_interval=0.1):
            yield
    except Timeout:
        raise UserError(f"Another process has been writing to MLflow for {LOCK_TIMEOUT:.0f} s: {lock}") from None
