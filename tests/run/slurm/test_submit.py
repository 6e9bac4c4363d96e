"""What is submitted again, what is not, and what waits for what lives."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from safetax import sweep
from safetax.errors import UserError
from safetax.plan.status import status_of
from safetax.plan.table import rows_of
from safetax.run.finish import release_weights
from safetax.run.slurm.jobs import cluster_jobs
from safetax.run.slurm.record import state_path
from safetax.store import slurm as slurm_commands
from safetax.store.manifest import release, write_json
from safetax.store.status import Store
from tests.support.fake_slurm import (
    FakeSlurm,
    finish,
    job_of,
    lab,
    queued,
    sent,
    trainings,
)


def test_weights_that_were_let_go_are_made_again_where_a_job_needs_them(slurm: FakeSlurm, tmp_path: Path) -> None:
    outputs, store = tmp_path / "outputs", Store(tmp_path / "outputs")
    graph = lab(outputs, "dataset=direct_refusal,safechain")
    done, other = graph.runs
    finish(store, *done.steps)
    for step in trainings(done.steps).values():
        release(store.directory(step), ".safetensors")
    made = {
        step.key for job in cluster_jobs(status_of(graph, outputs), {}) for step in job.steps if step.kind == "train"
    }
    assert made >= {step.key for step in trainings(other.steps).values()}, "base, LRM, and what is trained from it"
    shown = {row.step.key: row.reason for row in rows_of(status_of(graph, outputs)) if not row.cached}
    aligned = trainings(done.steps)["align on direct_refusal"]
    for step in trainings(done.steps).values():
        needed = "its weights were let go, and are needed"
        assert shown[step.key] == (
            needed if step is not aligned else "an input is made again; kept if that comes out the same"
        )
    sent(graph, outputs, sweep=True)
    whole = {name for name, step in trainings(done.steps).items() if store.status(step).complete}
    assert whole == {"align on direct_refusal"}, "nothing needs its weights, so its job keeps it as it is"
    assert not [
        row for row in rows_of(status_of(lab(outputs, "dataset=direct_refusal"), outputs)) if row.step is aligned
    ]


def test_weights_stay_while_jobs_count_on_them(slurm: FakeSlurm, tmp_path: Path) -> None:
    outputs, store = tmp_path / "outputs", Store(tmp_path / "outputs")
    mine, other = lab(outputs, "runtime.keep=results"), lab(outputs, "dataset=safechain")
    finish(store, *mine.steps)
    sent(other, outputs)
    text = io.StringIO()
    console = Console(file=text, width=300)
    release_weights(mine, outputs, console)
    assert "weights in" in text.getvalue() and "jobs of the cluster, such as 101, may need them" in text.getvalue()
    (slurm.folder / "silent").touch()
    release_weights(mine, outputs, console)
    assert "jobs were submitted there, and Slurm does not answer" in text.getvalue()
    assert not [step for step in mine.steps if store.status(step).released]
    (slurm.folder / "silent").unlink()
    (slurm.folder / "queue").write_text("")
    release_weights(mine, outputs, console)
    assert "weights let go" in text.getvalue()
    assert all(store.status(step).released for step in trainings(mine.steps).values())


def test_the_same_command_again_keeps_its_living_jobs(slurm: FakeSlurm, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    graph = lab(outputs)
    first, _ = sent(graph, outputs)
    write_json(state_path(first.target, first.jobs[0].id), {"state": "running", "node": "n0"})
    slurm.says(first.jobs[0].id, "RUNNING")
    second, told = sent(graph, outputs)
    assert second.jobs[:-1] == first.jobs[:-1] and second.elsewhere == {}
    assert slurm.cancelled == [first.jobs[-1].id], "the report alone is another"
    assert f"1 jobs submitted. {len(first.jobs) - 1} that were submitted from here before go on." in told
    assert second.state(second.jobs[0])["node"] == "n0" and not second.state(second.jobs[-1])
    slurm.says(first.jobs[-1].id, "GONE")
    sweep.main([str(second.target), "--cancel"])
    assert slurm.cancelled[1:] == [job.id for job in second.jobs]


def test_what_failed_is_submitted_again_behind_what_lives(slurm: FakeSlurm, tmp_path: Path) -> None:
    outputs, store = tmp_path / "outputs", Store(tmp_path / "outputs")
    graph = lab(outputs)
    first, _ = sent(graph, outputs)
    base, lrm, aligned = trainings(graph.steps).values()
    finish(store, *(step for step in graph.steps if step.kind == "prepare" and not step.inputs), base)
    dead = {job_of(first, aligned).id} | {
        job.id for job in first.jobs if first.jobs.index(job_of(first, aligned)) in job.after
    }
    for job in first.jobs:
        if set(job.steps) <= {step.key for step in graph.steps if store.status(step).complete}:
            slurm.says(job.id, "GONE")
        elif job.id == job_of(first, aligned).id:
            slurm.says(job.id, "CANCELLED")
        elif job.id in dead:
            slurm.says(job.id, "PENDING", "Dependency")  # Slurm has not come to see that it waits in vain
    second, _ = sent(graph, outputs)
    assert job_of(second, lrm).id == job_of(first, lrm).id
    again = job_of(second, aligned)
    assert again.id not in dead and [second.jobs[place].id for place in again.after] == [job_of(first, lrm).id]
    assert f"#SBATCH --dependency=afterok:{job_of(first, lrm).id}" in slurm.script(again.id)
    assert not dead & {job.id for job in second.jobs}
    assert all(before < index for index, job in enumerate(second.jobs) for before in job.after)
    assert {key for job in second.jobs for key in job.steps} == {
        s.key for s in graph.steps if not store.status(s).complete
    }


def test_another_submission_waits_for_a_living_job(slurm: FakeSlurm, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    first, _ = sent(lab(outputs), outputs)
    other = lab(outputs, "dataset=safechain")
    second, told = sent(other, outputs)
    lrm = trainings(other.steps)["reasoning stage on lab_reasoning"]
    assert second.elsewhere[lrm.key] == job_of(first, lrm).id and "made by jobs of other submissions" in told
    assert job_of(first, lrm).id in job_of(second, trainings(other.steps)["align on safechain"]).others
    assert slurm.cancelled == []


def test_jobs_that_are_just_ending_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    looks = [
        queued("7", "COMPLETING") | queued("8", "PENDING"),
        queued("7", "PENDING", "BeginTime") | queued("8", "RUNNING"),
    ]
    monkeypatch.setattr(slurm_commands, "queue", lambda: looks.pop(0) if len(looks) > 1 else looks[0])
    monkeypatch.setattr(slurm_commands, "BETWEEN_LOOKS", 0.01)
    assert slurm_commands.living_among(["7", "8", "9"], told.append) == {"7", "8"}, "one was queued again"
    assert told == ["Waiting up to 60 s for jobs that are just ending: 7."]
    monkeypatch.setattr(slurm_commands, "ENDING", 0.05)
    looks[:] = [queued("7", "COMPLETING") | queued("8", "PENDING", "DependencyNeverSatisfied")]
    assert slurm_commands.living_among(["7", "8"], told.append) == set()
    assert slurm_commands.living_among([], told.append) == set()


def test_a_controller_that_is_silent_is_found_out_before_anything_is_written(slurm: FakeSlurm, tmp_path: Path) -> None:
    (slurm.folder / "silent").touch()
    with pytest.raises(UserError, match="Slurm does not answer"):
        sent(lab(tmp_path / "outputs"), tmp_path / "outputs")
    assert not (tmp_path / "outputs").exists()
