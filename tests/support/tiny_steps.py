"""Real steps of the lab that take milliseconds, for tests of the store, the locks and the graph."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetax.records import Response, write_records
from safetax.store.events import Events
from safetax.store.manifest import describe_outputs, outputs_digest, write_json, write_manifest
from safetax.store.status import Store
from safetax.store.step import Step
from safetax.store.work_loop import work_on
from safetax.workers import prepare
from tests.support.places import ROOT

JUDGE = {"judge": {"kind": "lab", "world_seed": 0}}


def prompts(samples: int = 4, split: str = "harmful", seed: int = 0) -> Step:
    """A prompt set of the lab; more than 200 of a test split is a mistake of the user's, found by the worker."""
    dataset = {"kind": "lab_prompts", "split": split, "samples": samples, "world_seed": 0, "seed": seed, "system": None}
    return Step("prepare", f"prompts {split} {samples}", {"dataset": dataset})


def chats(samples: int = 4, mixture: str = "benign", seed: int = 0) -> Step:
    dataset = {"kind": "lab_chats", "mixture": mixture, "samples": samples, "world_seed": 0, "seed": seed}
    return Step("prepare", f"chats {mixture} {samples}", {"dataset": dataset})


def answered(source: Step, salt: int = 0) -> Step:
    """A generate step over a prompt set; ``put_responses`` puts it on disk."""
    return Step("generate", f"answers to {source.title} {salt}", {"sampling": {"salt": salt}}, {"prompts": source})


def judged(source: Step, responses: Step) -> Step:
    return Step("score", f"judge {responses.title}", JUDGE, {"prompts": source, "responses": responses})


def silent() -> Events:
    return Events(io.StringIO(), as_json=True)


def make(store: Store, *steps: Step) -> None:
    """Do steps in this process, as ``python -m safetax.workers.prepare`` would."""
    for step in steps:
        assert work_on([store.freeze(step)], prepare.work, silent()) == 0


def put_responses(store: Store, step: Step, answers: list[str]) -> None:
    """Put a finished generate step on disk, with these answers to the first prompts."""
    source = step.inputs["prompts"]
    directory = store.freeze(step)
    lines = (store.directory(source) / "examples.jsonl").read_text().splitlines()
    names = [json.loads(line)["id"] for line in lines]
    responses = [
        Response(name, 0, None, answer, 0, len(answer.split()), "none", "stop", 0)
        for name, answer in zip(names, answers, strict=False)
    ]
    write_records(directory / "responses.jsonl", responses)
    put_manifest(store, step)


def put_manifest(store: Store, step: Step) -> None:
    """Write the manifest of a step whose outputs are there."""
    directory = store.directory(step)
    sources = {name: store.manifest(source) for name, source in step.inputs.items()}
    manifest = {
        **step.frozen(),
        "inputs": {
            name: {"step": step.inputs[name].key, "outputs": outputs_digest(source or {})}
            for name, source in sources.items()
        },
        "outputs": describe_outputs(directory),
        "summary": {},
        "provenance": {"seconds": 0.1, "finished": "2026-01-01T00:00:00+00:00"},
    }
    write_manifest(directory, manifest)


def put_run(outputs: Path, name: str, *steps: Step) -> Path:
    """Write the record of a run that needs these steps."""
    folder = outputs / "runs" / name
    write_json(
        folder / "run.json", {"schema": 1, "name": name, "steps": [s.key for s in steps], "overrides": ["seed=3"]}
    )
    return folder


def python(code: str, *arguments: object, **keywords: Any) -> subprocess.Popen[str]:
    """Start Python code in a process of its own."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **keywords
    )


def until(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until something is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return value


def ended(pid: int) -> bool:
    """Whether a process is gone, or a zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
