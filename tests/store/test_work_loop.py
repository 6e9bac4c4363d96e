"""What a worker does with the folders of its steps, and how it ends."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pytest

from safetax.errors import UserError
from safetax.store.events import Events
from safetax.store.job import StepJob
from safetax.store.manifest import read_manifest
from safetax.store.status import Store
from safetax.store.step import Step
from safetax.store.work_loop import work_on
from safetax.workers import prepare
from tests.support.tiny_steps import prompts, silent


def test_manifest_of_a_killed_finish_is_complete_and_its_scratch_goes(store: Store, step: Step) -> None:
    """Killed between manifest and cleaning up, the step is finished; the next worker that looks at it cleans up."""
    scratch = store.directory(step) / "scratch"
    scratch.mkdir()
    (scratch / "checkpoint").write_text("left")
    assert store.status(step).complete
    before = read_manifest(store.directory(step))
    assert work_on([store.directory(step)], prepare.work, silent()) == 0
    assert not scratch.exists()
    assert read_manifest(store.directory(step)) == before


def test_a_step_that_fails_leaves_the_others_alone(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Mistakes of the user have exit code 2 and no traceback; all else has 1 and one."""
    steps = [prompts(4), prompts(5), prompts(6)]
    wrong = {steps[0].key: UserError("mend this"), steps[1].key: ValueError("a mistake of ours")}
    done: list[str] = []

    def work(jobs: Sequence[StepJob]) -> None:
        for job in jobs:
            if job.key in wrong:
                raise wrong[job.key]
            done.append(job.key)
            (job.directory / "examples.jsonl").write_text("")
            job.finish({})

    def run(*chosen: Step) -> tuple[int, list[dict[str, Any]], str]:
        told = io.StringIO()
        code = work_on([store.freeze(step) for step in chosen], work, Events(told, as_json=True))
        return code, [json.loads(line) for line in told.getvalue().splitlines()], capsys.readouterr().err

    code, events, said = run(steps[0], steps[2])
    assert code == 2 and done == [steps[2].key] and "Traceback" not in said and "Error: mend this" in said
    failed = [event for event in events if event["event"] == "failed"]
    assert failed == [{"event": "failed", "steps": [steps[0].key], "message": "mend this", "user": True}]
    code, events, said = run(*steps)
    assert code == 1 and "Traceback" in said and "ValueError: a mistake of ours" in said
    assert [event["event"] for event in events if event.get("step") == steps[2].key] == ["reused"]
    assert done == [steps[2].key], "it is complete by now"


def test_steps_that_are_done_together_fail_together(store: Store) -> None:
    steps, calls = [prompts(4), prompts(5)], []

    def work(jobs: Sequence[StepJob]) -> None:
        calls.append(sorted(job.key for job in jobs))
        raise UserError("no")

    told = io.StringIO()
    events = Events(told, as_json=True)
    assert work_on([store.freeze(step) for step in steps], work, events, together=True) == 2
    assert calls == [sorted(step.key for step in steps)]
    failed = [json.loads(line) for line in told.getvalue().splitlines() if '"failed"' in line]
    assert [sorted(event["steps"]) for event in failed] == calls
