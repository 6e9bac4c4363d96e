"""Alignment data made by the real command's parts: overrides, composition, facts, plan, prepare worker."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

from safetax.config.compose import Composer
from safetax.plan.planner import plan
from safetax.plan.resolve import Resolver
from safetax.records import Example, read_records
from safetax.store.events import Events
from safetax.store.status import Store
from safetax.store.step import Step, in_order
from safetax.store.work_loop import work_on
from safetax.workers import prepare


@cache
def composer() -> Composer:
    return Composer()


def planned(*overrides: str, lenient: bool = False) -> Step:
    """The prepare step of the alignment data of a run."""
    (job,) = composer().jobs(["stage=prepare", *overrides], multirun=False)
    return plan([(Resolver(lenient).resolve(job.config), job.overrides)]).runs[0].data["alignment"]


def work(store: Store, step: Step) -> str | None:
    """Do a prepare step, behind those that it is made of, in this process; returns the message of a failure."""
    stream = io.StringIO()
    work_on([store.freeze(each) for each in in_order([step])], prepare.work, Events(stream, as_json=True))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    failed = [event for event in events if event["event"] == "failed"]
    assert all(event["user"] for event in failed), failed
    return failed[0]["message"] if failed else None


def prepared(outputs: Path, *overrides: str) -> tuple[list[Example], dict[str, Any]]:
    """The examples of a run's alignment data, and the summary of the step that made them."""
    store, step = Store(outputs), planned(*overrides)
    assert (message := work(store, step)) is None, message
    manifest = store.manifest(step)
    assert manifest is not None
    return read_records(store.directory(step) / "examples.jsonl", Example), manifest["summary"]


def failure(outputs: Path, *overrides: str) -> str:
    """What the prepare worker says of a data set that it cannot make."""
    message = work(Store(outputs), planned(*overrides))
    assert message is not None
    return message


def rows_file(folder: Path, rows: list[dict[str, Any]], name: str = "rows.jsonl") -> Path:
    """A file of rows."""
    path = folder / name
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def from_file(path: Path, *settings: str) -> str:
    """The override that takes the alignment data's rows from a file."""
    return "dataset.rows={" + ",".join(["kind:file", f"path:'{path}'", *settings]) + "}"
