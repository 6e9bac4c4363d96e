"""Which jobs a plan becomes."""

from __future__ import annotations

import pytest

from safetax.plan.graph import Plan
from safetax.run.slurm.jobs import Job
from tests.support.fake_slurm import (
    jobs,
    planned,
)


@pytest.fixture(scope="module")
def paper() -> Plan:
    return planned("+experiment=s1", "dataset=direct_refusal,safechain", "epochs=0,1,2")


def test_every_step_is_in_one_job_behind_what_it_needs(paper: Plan) -> None:
    found = jobs(paper)
    place = {step.key: index for index, job in enumerate(found) for step in job.steps}
    assert sorted(place) == sorted(step.key for step in paper.steps)
    assert sum(len(job.steps) for job in found) == len(paper.steps)
    for index, job in enumerate(found):
        needed = {place[source.key] for step in job.steps for source in step.inputs.values()} - {index}
        assert set(job.after) == needed and all(before < index for before in needed)
        assert len({step.kind for step in job.steps}) == 1


def test_each_job_asks_for_what_its_steps_need(paper: Plan) -> None:
    found = jobs(paper)
    trainings = [job for job in found if job.kind == "train"]
    assert len(trainings) == 4 and all(len(job.steps) == 1 for job in trainings)
    assert {(job.resources.nodes, job.resources.gpus) for job in trainings} == {(1, 8)}
    generations = [job for job in found if job.kind == "generate"]
    assert len(generations) == 5, "the LRM and four aligned models: one start of the engine for each"
    assert {job.resources.gpus for job in generations} == {2}, "32 billion parameters in bfloat16 do not fit on one"
    assert all(job.resources.gpus == 0 for job in found if job.kind == "prepare")
    judged = {(judge["kind"], job.resources.gpus) for job in found if job.kind == "score" for judge in _judges(job)}
    assert {gpus for kind, gpus in judged if kind == "beaver_dam"} == {1}
    assert {gpus for kind, gpus in judged if kind == "paper_grader"} == {0}


def _judges(job: Job) -> list[dict[str, str]]:
    return [dict(step.identity["judge"]) for step in job.steps]


def test_settings_of_the_site_reach_the_jobs() -> None:
    site = ["runtime.gpus=4", "runtime.slurm.partition=gpu", "runtime.slurm.cpu_partition=cpu"]
    site += ["runtime.slurm.minutes_of.train=90", "runtime.slurm.memory_gb=500", "runtime.slurm.cpus_per_gpu=12"]
    spread = ["runtime.devices=8", "runtime.nodes=2"]
    by_kind = {job.kind: job.resources for job in jobs(planned("+experiment=s1", "epochs=1", *site, *spread))}
    train = by_kind["train"]
    assert (train.nodes, train.gpus, train.cpus, train.minutes) == (2, 4, 48, 90)
    assert (by_kind["generate"].gpus, by_kind["generate"].partition) == (4, "gpu")
    assert (by_kind["prepare"].gpus, by_kind["prepare"].partition) == (0, "cpu")
    assert {resources.memory_gb for resources in by_kind.values()} == {500}


def test_the_lab_asks_for_no_gpu() -> None:
    found = jobs(planned("+experiment=lab_quick", "dataset=self_generated", "epochs=1"))
    assert {job.resources.gpus for job in found} == {0}
    own = next(job for job in found if job.kind == "prepare" and job.after)
    assert {found[place].kind for place in own.after} >= {"generate", "score"}, "data that the LRM wrote"


def test_rounds_of_sampling_are_jobs_of_their_own_one_behind_the_other() -> None:
    again = ("dataset=dgr", "dataset.fallback=resample", "dataset.rounds=2")
    chained = ("dataset=dgr", "dataset.source=thinksafe")
    for overrides in (again, chained):
        graph = planned("+experiment=s1", "epochs=1", *overrides)
        test_every_step_is_in_one_job_behind_what_it_needs(graph)
        of_the_lrm = [job for job in jobs(graph) if job.kind == "generate" and "align" not in job.title]
        assert [len(job.steps) > 1 for job in of_the_lrm] == [True, False], "the first with all that can be asked then"
