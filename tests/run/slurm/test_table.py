"""The tables of jobs: those of a plan, and those that were submitted."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from safetax.plan.status import status_of
from safetax.run.slurm.table import hours_of, print_jobs, print_submission
from tests.support.fake_slurm import FakeSlurm, jobs, lab, sent


def test_a_plan_is_told_as_its_jobs_with_the_report_last(tmp_path: Path) -> None:
    plan = lab(tmp_path, "runtime.slurm.minutes=90")
    text = io.StringIO()
    print_jobs(status_of(plan, tmp_path), Console(file=text, width=200))
    lines = text.getvalue().strip().splitlines()
    expected = jobs(plan)
    assert len(lines) == len(expected) + 3, "a head, the jobs, the report, and the sum"
    for line, job in zip(lines[1:], expected, strict=False):
        assert f"{job.kind}: {job.title}" in line and "1.5 h" in line
    assert "results and report" in lines[-2] and lines[-1] == f"{len(expected) + 1} jobs."


def test_hours_are_told_of_steps_that_are_to_be_done(quick_lab: Path) -> None:
    """Alike steps that were done before say how long these take."""
    done = lab(quick_lab)
    again = lab(quick_lab, "seed=7")
    assert hours_of(status_of(done, quick_lab)) == {}
    found = hours_of(status_of(again, quick_lab))
    trainings = [step.key for step in again.steps if step.kind == "train" and step.key in found]
    assert trainings and all(0 < hours < 1 for hours in found.values())


def test_a_submission_names_what_each_job_waits_for(slurm: FakeSlurm, tmp_path: Path) -> None:
    submission, _ = sent(lab(tmp_path / "outputs"), tmp_path / "outputs")
    text = io.StringIO()
    print_submission(submission, Console(file=text, width=200))
    lines = text.getvalue().splitlines()
    for line, job in zip(lines[1:], submission.jobs, strict=True):
        assert line.startswith(job.id)
        before = [submission.jobs[place].id for place in job.after]
        assert (f"{len(before)} jobs" if len(before) > 3 else ", ".join(before)) in line
