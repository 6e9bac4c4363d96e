"""The record of a submission."""

from __future__ import annotations

import pytest

from safetax import sweep
from safetax.errors import UserError
from safetax.plan.graph import Plan
from safetax.run.slurm.record import Submission, load, save
from tests.support.fake_slurm import (
    FakeSlurm,
    lines_of,
)


def test_a_submission_is_read_as_it_was_written(submission: Submission) -> None:
    submission.target.mkdir(parents=True)
    (submission.target / "cluster").mkdir()
    save(submission, Plan([]))
    assert load(submission.target) == submission
    with pytest.raises(UserError, match="nothing was submitted to a cluster from here"):
        load(submission.outputs)


def test_cancelling_asks_slurm_once(submission: Submission, slurm: FakeSlurm) -> None:
    (submission.target / "cluster").mkdir(parents=True)
    save(submission, Plan([]))
    for job in submission.jobs:
        slurm.says(job.id, "PENDING")
    assert sweep.main([str(submission.target), "--cancel"]) == 0
    assert slurm.cancelled == ["11", "12", "13", "14"]
    assert lines_of(slurm.folder / "asked") == ["asked"]
