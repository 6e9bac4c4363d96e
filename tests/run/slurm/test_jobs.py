"""Which jobs a plan becomes, and what is told of them, without a Slurm."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import subprocess
import textwrap
from collections.abc import Iterable
from pathlib import Path

import pytest
from rich.console import Console
from submitit.slurm.slurm import SlurmJobEnvironment

from safetax import sweep
from safetax.config.compose import Composer
from safetax.errors import UserError
from safetax.plan.graph import Plan
from safetax.plan.planner import plan
from safetax.plan.resolve import Resolver
from safetax.plan.status import status_of
from safetax.plan.table import rows_of
from safetax.run.finish import release_weights
from safetax.run.slurm.executor import leave_requeue_to_script
from safetax.run.slurm.jobs import Job, cluster_jobs, jobs_of
from safetax.run.slurm.record import Submission, Submitted, load, save, state_path
from safetax.run.slurm.submit import submit
from safetax.run.slurm.watch import SILENT, JobStatus, job_statuses, remaining
from safetax.run.terminal import tail
from safetax.store import slurm as slurm_commands
from safetax.store.manifest import release, write_json
from safetax.store.slurm import Queued
from safetax.store.status import Store
from safetax.store.step import Step
from tests.support.tiny_steps import put_manifest


def planned(*overrides: str) -> Plan:
    composer, resolver = Composer(), Resolver(lenient=True)
    return plan([(resolver.resolve(job.config), job.overrides) for job in composer.jobs(overrides, multirun=True)])


def jobs(graph: Plan) -> list[Job]:
    config_of = {step.key: run.config for run in graph.runs for step in run.steps}
    return jobs_of(graph.steps, config_of, lambda step: True)


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


@pytest.fixture
def submission(tmp_path: Path) -> Submission:
    """A training, the generation and the judging behind it, and the report."""
    jobs = (
        Submitted("11", "train", "align", ("train/a",), (), {}),
        Submitted("12", "generate", "answer", ("generate/b",), (0,), {}),
        Submitted("13", "score", "judge", ("score/c",), (1,), {}),
        Submitted("14", "report", "results and report", (), (0, 1, 2), {}),
    )
    runs = {"run": ["train/a", "generate/b", "score/c"]}
    return Submission(tmp_path / "sweeps" / "s", tmp_path, True, jobs, runs, {}, {})


def queued(number: str, state: str, reason: str = "None") -> dict[str, Queued]:
    return {number: Queued(number, state, reason, "n0", "1:00")}


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


def test_a_submission_is_read_as_it_was_written(submission: Submission) -> None:
    submission.target.mkdir(parents=True)
    (submission.target / "cluster").mkdir()
    save(submission, Plan([]))
    assert load(submission.target) == submission
    with pytest.raises(UserError, match="nothing was submitted to a cluster from here"):
        load(submission.outputs)


class FakeSlurm:
    """Programs by Slurm's names that write down what they are asked, and tell what the test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "bin"
        self.programs.mkdir(parents=True)
        queue = folder / "queue"
        self.program(
            "sbatch",
            f"""
            [ -e {folder}/refusal ] && cat {folder}/refusal >&2 && exit 1
            number=$(($(ls {folder} | grep -c '^job-.*sh$') + 101))
            cp "$1" {folder}/job-$number.sh
            env > {folder}/job-$number.env
            echo "$number|PENDING|Priority||0:00" >> {queue}
            echo "Submitted batch job $number"
            """,
        )
        self.program("squeue", f"echo asked >> {folder}/asked\n[ -e {folder}/silent ] && exit 1\ncat {queue}")
        self.program("scancel", f'shift\nfor each in "$@"; do echo $each >> {folder}/cancelled; done')
        self.program("sinfo", "echo dev")
        self.program("srun", "exit 1")
        queue.touch()

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{textwrap.dedent(text)}\n")
        path.chmod(0o755)

    def says(self, number: str, state: str, reason: str = "None") -> None:
        """Have the queue tell something else of a job; ``GONE``: nothing any more."""
        lines = [line for line in (self.folder / "queue").read_text().splitlines() if not line.startswith(f"{number}|")]
        lines += [] if state == "GONE" else [f"{number}|{state}|{reason}||0:00"]
        (self.folder / "queue").write_text("".join(f"{line}\n" for line in lines))

    def script(self, number: str) -> list[str]:
        return (self.folder / f"job-{number}.sh").read_text().splitlines()

    @property
    def cancelled(self) -> list[str]:
        return lines_of(self.folder / "cancelled")


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    fake = FakeSlurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{fake.programs}:{os.environ['PATH']}")
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        monkeypatch.delenv(name)
    return fake


def lab(outputs: Path, *overrides: str) -> Plan:
    return planned("+experiment=lab_quick", "tracking=off", "epochs=1", f"runtime.outputs={outputs}", *overrides)


def sent(graph: Plan, outputs: Path, sweep: bool = False) -> tuple[Submission, str]:
    """Submit a plan; returns what is on record then, and what was said."""
    text = io.StringIO()
    target = submit(graph, outputs, sweep, Console(file=text, width=200))
    assert target is not None
    return load(target), text.getvalue()


def finish(store: Store, *steps: Step) -> None:
    """Put finished steps on disk, in a way that no worker would: what they hold is of no matter here."""
    for step in steps:
        name = "model.safetensors" if step.kind == "train" else "rows.jsonl"
        (store.freeze(step) / name).write_text(step.key)
        put_manifest(store, step)


def trainings(steps: Iterable[Step]) -> dict[str, Step]:
    return {step.title.split(",")[0]: step for step in steps if step.kind == "train"}


def job_of(submission: Submission, step: Step) -> Submitted:
    return next(job for job in submission.jobs if step.key in job.steps)


def test_rounds_of_sampling_are_jobs_of_their_own_one_behind_the_other() -> None:
    again = ("dataset=dgr", "dataset.fallback=resample", "dataset.rounds=2")
    chained = ("dataset=dgr", "dataset.source=thinksafe")
    for overrides in (again, chained):
        graph = planned("+experiment=s1", "epochs=1", *overrides)
        test_every_step_is_in_one_job_behind_what_it_needs(graph)
        of_the_lrm = [job for job in jobs(graph) if job.kind == "generate" and "align" not in job.title]
        assert [len(job.steps) > 1 for job in of_the_lrm] == [True, False], "the first with all that can be asked then"


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
    finish(store, *(step for step in graph.steps if step.kind == "prepare"), base)
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


def site(outputs: Path, *settings: str) -> Plan:
    """A plan with a training on four GPUs, on a cluster that calls them so."""
    own = [f"++runtime.slurm.{setting}" for setting in ("gpus_per_node=4", "memory_gb=500", *settings)]
    return lab(outputs, "runtime.gpus=0", *own)


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ([], "--gpus-per-node=1"),
        (["gpu_type=h100"], "--gpus-per-node=h100:1"),
        (["gres=true"], "--gres=gpu:1"),
        (["gres=true", "gpu_type=a100"], "--gres=gpu:a100:1"),
    ],
)
def test_how_gpus_are_asked_for(slurm: FakeSlurm, tmp_path: Path, settings: list[str], asked: str) -> None:
    graph = site(tmp_path / "outputs", *settings)
    submission, _ = sent(graph, tmp_path / "outputs")
    for job in submission.jobs:
        lines = [line for line in slurm.script(job.id) if line.startswith(("#SBATCH --gpu", "#SBATCH --gres"))]
        assert lines == ([f"#SBATCH {asked}"] if job.kind == "train" else [])


def test_options_and_memory_of_jobs_with_gpus_and_without(slurm: FakeSlurm, tmp_path: Path) -> None:
    own = ["cpu_memory_gb=20", "options.exclusive=true", "options.requeue=false", "options.comment=mine"]
    submission, _ = sent(site(tmp_path / "outputs", *own, "gpu_options.gpu-bind=none"), tmp_path / "outputs")
    for job in submission.jobs:
        lines = slurm.script(job.id)
        assert "#SBATCH --exclusive" in lines and "#SBATCH --comment=mine" in lines and "#SBATCH --requeue" not in lines
        assert ("#SBATCH --gpu-bind=none" in lines) == (job.kind == "train")
        assert f"#SBATCH --mem={'512000MB' if job.kind == 'train' else '20480MB'}" in lines


def test_a_job_takes_nothing_over_from_the_one_that_it_is_submitted_in(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inherited = {
        "SLURM_JOB_ID": "5",
        "SLURM_CPUS_PER_TASK": "2",
        "SBATCH_MEM_BIND": "local",
        "SLURM_CONF": "/my/slurm.conf",
    }
    for name, value in inherited.items():
        monkeypatch.setenv(name, value)
    submission, _ = sent(lab(tmp_path / "outputs"), tmp_path / "outputs")
    for job in submission.jobs:
        given = dict(line.split("=", 1) for line in lines_of(slurm.folder / f"job-{job.id}.env") if "=" in line)
        assert {name: given[name] for name in inherited if name in given} == {"SLURM_CONF": "/my/slurm.conf"}
    assert os.environ["SLURM_CPUS_PER_TASK"] == "2"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "Invalid account or account/partition combination specified",
            "runtime.slurm.account=null, runtime.slurm.cpu_partition=small: set the account",
        ),
        ("invalid partition specified: small", "runtime.slurm.cpu_partition=small; the cluster has dev."),
        ("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)", "Submit fewer runs"),
        ("Invalid qos specification", "Check runtime.slurm (cpu_partition, account, qos"),
    ],
)
def test_what_slurm_refuses_names_the_key(slurm: FakeSlurm, tmp_path: Path, said: str, words: str) -> None:
    (slurm.folder / "refusal").write_text(f"sbatch: error: Batch job submission failed: {said}\n")
    settings = ("runtime.slurm.partition=large", "runtime.slurm.cpu_partition=small")
    with pytest.raises(UserError) as told:
        sent(lab(tmp_path / "outputs", *settings), tmp_path / "outputs")
    assert words in str(told.value) and "Nothing is left submitted" in str(told.value)


def test_the_batch_script_queues_a_job_again_that_asks_for_it(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job may be in a container without Slurm's commands; the script is not."""
    monkeypatch.setattr(SlurmJobEnvironment, "_requeue", SlurmJobEnvironment._requeue)
    submission, _ = sent(lab(tmp_path / "outputs", "runtime.slurm.setup=[set -eu]"), tmp_path / "outputs")
    number = submission.jobs[0].id
    monkeypatch.setenv("SLURM_JOB_ID", number)
    slurm.program("scontrol", f'echo "$@" > {slurm.folder}/controlled')

    def run_script() -> int:
        slurm.program("srun", "exit 255")  # as where the first node asks for the next turn
        return subprocess.run(["bash", str(slurm.folder / f"job-{number}.sh")]).returncode

    assert run_script() == 255 and lines_of(slurm.folder / "controlled") == []
    leave_requeue_to_script(submission.target)
    monkeypatch.setenv("PATH", "/nowhere")
    SlurmJobEnvironment()._requeue(3)
    monkeypatch.setenv("PATH", f"{slurm.programs}:/usr/bin:/bin")
    assert run_script() == 255 and lines_of(slurm.folder / "controlled") == [f"requeue {number}"]
    (slurm.folder / "controlled").unlink()
    assert run_script() == 255 and lines_of(slurm.folder / "controlled") == [], "it asked once"


@pytest.mark.parametrize("terminal", [True, False])
def test_watching_goes_on_when_slurm_is_silent_for_once(
    submission: Submission, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    for step in ("train/a", "generate/b", "score/c"):
        write_json(submission.outputs / step / "manifest.json", {"inputs": {}, "outputs": {}})
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


def test_a_controller_that_is_silent_is_found_out_before_anything_is_written(slurm: FakeSlurm, tmp_path: Path) -> None:
    (slurm.folder / "silent").touch()
    with pytest.raises(UserError, match="Slurm does not answer"):
        sent(lab(tmp_path / "outputs"), tmp_path / "outputs")
    assert not (tmp_path / "outputs").exists()


def test_cancelling_asks_slurm_once(submission: Submission, slurm: FakeSlurm) -> None:
    (submission.target / "cluster").mkdir(parents=True)
    save(submission, Plan([]))
    for job in submission.jobs:
        slurm.says(job.id, "PENDING")
    assert sweep.main([str(submission.target), "--cancel"]) == 0
    assert slurm.cancelled == ["11", "12", "13", "14"]
    assert lines_of(slurm.folder / "asked") == ["asked"]
