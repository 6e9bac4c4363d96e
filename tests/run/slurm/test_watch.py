"""What is told of jobs that were submitted: states, reasons, logs, and how long they still take."""

from __future__ import annotations

import dataclasses
import io
import re

import pytest
from rich.console import Console

from safetax import sweep
from safetax.errors import UserError
from safetax.run.slurm.record import Submission, Submitted, state_path
from safetax.run.slurm.watch import SILENT, JobStatus, job_statuses, remaining
from safetax.run.terminal import tail
from safetax.store.manifest import write_json, write_manifest
from safetax.store.slurm import Queued
from tests.support.fake_slurm import (
    queued,
)


def states(seen: list[JobStatus]) -> list[str]:
    return [each.state for each in seen]


def test_a_small_screen_shows_what_matters_and_counts_the_rest(submission: Submission) -> None:
    jobs = [Submitted(str(number), "train", f"training {number}", (f"train/{number}",), (), {}) for number in range(60)]
    states = {3: "running", 57: "failed"}
    seen = [JobStatus(job, states.get(place, "waiting")) for place, job in enumerate(jobs)]  # type: ignore[arg-type]
    seen[57] = dataclasses.replace(seen[57], why="its time limit hit")
    console = Console(file=io.StringIO(), width=100, height=20)
    console.print(sweep.render(submission, seen, console.height))
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "training 3" in told and "training 57" in told and "its time limit hit" in told
    assert re.search(r"and \d+ more jobs: \d+ waiting", told) and len(told.splitlines()) <= 20
    console = Console(file=io.StringIO(), width=100)
    console.print(sweep.render(submission, seen))
    assert all(f"training {number}" in console.file.getvalue() for number in range(60))  # type: ignore[attr-defined]


def test_a_job_that_runs_and_one_that_waits(submission: Submission) -> None:
    progress = {"step": "train/a", "done": 30, "total": 40, "unit": "steps", "rate": 5.0, "began": 0.0, "began_at": 10}
    write_json(state_path(submission.target, "11"), {"state": "running", "progress": progress})
    now = {**queued("11", "RUNNING"), **queued("12", "PENDING", "Dependency"), **queued("13", "PENDING", "Dependency")}
    seen = job_statuses(submission, {**now, **queued("14", "PENDING", "Dependency")})
    assert states(seen) == ["running", "waiting", "waiting", "waiting"]
    assert seen[1].why == "for what it needs" and seen[0].node == "n0"
    assert remaining({**progress, "began": 0.0}) == pytest.approx(remaining(progress), rel=0.01)
    assert remaining({"done": 3, "total": 9, "began_at": 3, "began": 0.0}) is None


def test_dependants_of_a_failed_job_name_its_log(submission: Submission) -> None:
    log = submission.outputs / "train" / "a" / "worker.log"
    log.parent.mkdir(parents=True)
    log.write_text("line\n" * 100 + "the reason\n")
    write_json(state_path(submission.target, "11"), {"state": "failed", "message": "no room"})
    seen = job_statuses(submission, queued("11", "FAILED"))
    assert states(seen)[:3] == ["failed", "cancelled", "cancelled"]
    assert seen[0].why == "no room" and seen[0].log == log
    assert seen[2].why == f"since job 11 (align) failed: {log}"
    assert tail(log, 2) == ["line", "the reason"]


def test_how_slurm_ended_a_job_is_said_in_words(submission: Submission) -> None:
    (submission.target / "cluster").mkdir(parents=True)
    submission.log(submission.jobs[0]).write_text("begun")
    for state, words in (("OUT_OF_MEMORY", "runtime.slurm.memory_gb"), ("TIMEOUT", "minutes"), ("NODE_FAIL", "node")):
        assert words in job_statuses(submission, queued("11", state))[0].why
    submission.log(submission.jobs[0]).unlink()
    assert job_statuses(submission, queued("11", "FAILED"))[0].why == SILENT
    assert states(job_statuses(submission, queued("11", "CANCELLED")))[0] == "cancelled"
    assert states(job_statuses(submission, queued("11", "PENDING", "DependencyNeverSatisfied")))[0] == "failed"


@pytest.mark.parametrize("terminal", [True, False])
def test_watching_goes_on_when_slurm_is_silent_for_once(
    submission: Submission, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    for kind, fingerprint in (("train", "a"), ("generate", "b"), ("score", "c")):
        about = {"kind": kind, "fingerprint": fingerprint, "version": 1, "title": "", "identity": {}}
        write_manifest(
            submission.outputs / kind / fingerprint,
            {**about, "inputs": {}, "outputs": {}, "summary": {}, "provenance": {}},
        )
    write_json(state_path(submission.target, "14"), {"state": "done"})
    looks: list[dict[str, Queued] | UserError] = [queued("11", "RUNNING"), UserError("Slurm does not answer."), {}]

    def look_up() -> dict[str, Queued]:
        found = looks.pop(0)
        if isinstance(found, UserError):
            raise found
        return found

    monkeypatch.setattr(sweep, "queue", look_up)
    text = io.StringIO()
    console = Console(file=text, width=200, force_terminal=terminal)
    assert sweep.watch(submission, console, once=False, seconds=0.01) == 0
    assert "Slurm does not answer. This is what was seen last; asking again." in text.getvalue()
    assert "Results:" in text.getvalue()
