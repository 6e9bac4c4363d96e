"""What data lack that the steps of a plan will read, found out before any step is begun."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from safetax.data.rehearsal import is_local, rehearse
from safetax.errors import UserError
from safetax.store.child_process import clean_environment
from safetax.store.status import Store
from safetax.store.step import Step

CHECKED = ("data", "prompts")
"""Inputs of a step whose rows or prompts it could trip over."""
CHECK = ("-m", "safetax.workers.prepare", "--uses")


def data_problems(waiting: Sequence[Step], store: Store) -> list[str]:
    """Return what is wrong with the data of the steps that will be run.

    Data sets whose rows lie in files are made and thrown away, so that a row that cannot be used is told at once. Data
    that are made already are checked for the steps that were not planned yet when they were made; the others are
    checked when they are made.
    """
    lines = []
    for step in waiting:
        try:
            if step.kind == "prepare" and is_local(step.identity["dataset"]):
                rehearse(step.identity["dataset"], step.runtime.get("vocabulary"))
        except UserError as error:
            lines.append(str(error))
    return lines + _new_uses(waiting, store)


def _new_uses(waiting: Sequence[Step], store: Store) -> list[str]:
    """Check data that are made already for what they were not checked for when they were made, in another process."""
    read = {step.inputs[name].key: step.inputs[name] for step in waiting for name in CHECKED if name in step.inputs}
    asked: list[dict[str, Any]] = []
    for data in read.values():
        manifest = store.manifest(data)
        if data in waiting or manifest is None:
            continue
        before = manifest["provenance"].get("runtime", {})
        known = [{**use, "what": ""} for use in before.get("uses", ())]
        uses = [use for use in data.runtime.get("uses", ()) if {**use, "what": ""} not in known]
        words = data.runtime.get("vocabulary") != before.get("vocabulary")
        if uses or words:
            path = store.directory(data) / "examples.jsonl"
            vocabulary = data.runtime.get("vocabulary") if words else None
            asked.append({"path": str(path.absolute()), "title": data.title, "uses": uses, "vocabulary": vocabulary})
    if not asked:
        return []
    told = subprocess.run(
        [sys.executable, *CHECK], input=json.dumps(asked), capture_output=True, text=True, env=clean_environment()
    )
    try:
        return list(json.loads(told.stdout))
    except ValueError:  # it died; the steps themselves will say why
        return []
