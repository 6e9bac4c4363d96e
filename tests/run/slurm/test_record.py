"""The record of a submission."""

from __future__ import annotations

import pytest

from safetax import sweep
from safetax.errors import UserError
from safetax.plan.graph import Plan
from safetax.run.slurm.record import Submission, load, load_plan, save, state_path
from safetax.store.manifest import read_json, write_json
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


@pytest.mark.parametrize(
    "change", [{"jobs": {}}, {"jobs": [3]}, {"jobs": [{"id": "1"}]}, {"runs": []}, {"sweep": "yes"}, {"outputs": None}]
)
def test_a_record_of_another_shape_is_named_with_the_remedy(submission: Submission, change: dict[str, object]) -> None:
    (submission.target / "cluster").mkdir(parents=True)
    save(submission, Plan([]))
    path = submission.target / "cluster" / "jobs.json"
    write_json(path, {**(read_json(path) or {}), **change})
    with pytest.raises(UserError, match=f"{path} cannot be read"):
        load(submission.target)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"state": 3}', b'{"state": "x", "progress": [1]}'])
def test_a_state_that_cannot_be_read_is_none(submission: Submission, content: bytes) -> None:
    path = state_path(submission.target, "11")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert submission.state(submission.jobs[0]) == {}


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"text"])
def test_a_plan_that_cannot_be_read_is_named_with_the_remedy(submission: Submission, content: bytes) -> None:
    (submission.target / "cluster").mkdir(parents=True)
    (submission.target / "cluster" / "plan.pkl").write_bytes(content)
    with pytest.raises(UserError, match=r"plan.pkl cannot be read .* give the command that submitted it again"):
        load_plan(submission.target)
