"""Whole sweeps on a real Slurm of one machine, disturbed in every way that clusters know: the results stay the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from safetax.run.slurm.record import Submission, load
from safetax.run.slurm.watch import job_statuses
from safetax.store.manifest import read_json
from safetax.store.slurm import Queued, queue
from tests.conftest import run_lab
from tests.support.places import ROOT

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("slurmctld") is None, reason="needs Slurm"),
    pytest.mark.xdist_group("slurm"),
]
DEV = ROOT / "launchers" / "slurm-dev" / "cluster.py"
LONG = "epochs=25"
"""An alignment of some seconds: long enough to be disturbed."""


def dev(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, str(DEV), *map(str, arguments)], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Slurm of two nodes; its commands work in this process and those that it starts."""
    folder = tmp_path_factory.mktemp("slurm")
    with pytest.MonkeyPatch.context() as patch:
        line = dev("start", folder, "--nodes", 2, "--cores", 4)
        patch.setenv("SLURM_CONF", line.strip().partition("=")[2])
        try:
            yield folder
        finally:
            dev("stop", folder)


COMMAND = ("+experiment=lab_quick", "tracking=off", "hydra/launcher=slurm")


def submit(outputs: Path, *overrides: str, sweep: bool = False, code: int = 0) -> subprocess.CompletedProcess[str]:
    arguments = [*(["-m"] if sweep else []), *COMMAND]
    done = subprocess.run(
        [sys.executable, "-m", "safetax", *arguments, f"runtime.outputs={outputs}", *overrides],
        cwd=outputs.parent,
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def submission_of(outputs: Path) -> Submission:
    (record,) = [*outputs.glob("runs/*/cluster/jobs.json"), *outputs.glob("sweeps/*/cluster/jobs.json")]
    return load(record.parent.parent)


def wait(condition: Callable[[], Any], seconds: float = 240.0) -> Any:
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "\n".join(map(str, queue().values()))
        time.sleep(0.3)
    return found


def living() -> list[Queued]:
    return [job for job in queue().values() if job.living]


def at_work(submission: Submission, kind: str) -> str | None:
    """Return the number of a running job of this kind that has made some progress."""
    for job in submission.jobs:
        told = submission.state(job)
        done = (told.get("progress") or {}).get("done", 0)
        if job.kind == kind and told.get("state") == "running" and done and done < told["progress"]["total"]:
            return job.id
    return None


def slurm(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)


def trainings(outputs: Path, named: str) -> list[dict[str, Any]]:
    """Return the manifests of the finished trainings whose titles hold some words."""
    manifests = [read_json(path) or {} for path in outputs.glob("train/*/manifest.json")]
    return [manifest for manifest in manifests if named in manifest["title"]]


def results(outputs: Path, where: str = "runs") -> bytes:
    (path,) = [path for path in outputs.glob(f"{where}/*/results.json") if (path.parent / "cluster").is_dir()]
    return path.read_bytes()


@pytest.fixture(scope="module")
def made(quick_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished LRM, without the runs that it came from."""
    outputs = Path(shutil.copytree(quick_lab, tmp_path_factory.mktemp("made") / "outputs"))
    shutil.rmtree(outputs / "runs")
    return outputs


def alone(made: Path, folder: Path, *overrides: str) -> Path:
    """Make a run on this machine alone, and return its outputs."""
    outputs = Path(shutil.copytree(made, folder / "outputs"))
    run_lab(outputs, *overrides)
    return outputs


@pytest.fixture(scope="module")
def long_run(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return alone(made, tmp_path_factory.mktemp("undisturbed"), LONG)


@pytest.fixture(scope="module")
def undisturbed(long_run: Path) -> bytes:
    """Results of the long run on this machine alone."""
    (path,) = long_run.glob("runs/*/results.json")
    return path.read_bytes()


@pytest.fixture
def outputs(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "outputs"))


def test_a_sweep_trains_the_lrm_once_and_gives_what_a_local_one_gives(cluster: Path, tmp_path: Path) -> None:
    """Six runs from nothing; two of them are the LRM as it is."""
    sweep = ["dataset=direct_refusal,safechain", "epochs=0,0.5,1"]
    here, there = tmp_path / "here" / "outputs", tmp_path / "there" / "outputs"
    there.parent.mkdir()
    told = submit(there, *sweep, sweep=True).stdout
    assert "jobs submitted" in told and "python -m safetax.sweep" in told
    run_lab(here, *sweep, sweep=True)
    submission = submission_of(there)
    wait(lambda: not living(), 400)
    assert [seen.state for seen in job_statuses(submission, queue())] == ["done"] * len(submission.jobs)
    assert results(there, "sweeps") == next(here.glob("sweeps/*/results.json")).read_bytes()
    trained = [read_json(path) or {} for path in there.glob("train/*/manifest.json")]
    assert sum("reasoning stage" in manifest["title"] for manifest in trained) == 1
    assert len(trained) == 2 + 4 and all(manifest["summary"]["attempts"] == 1 for manifest in trained)
    watched = subprocess.run(
        [sys.executable, "-m", "safetax.sweep", str(submission.target)], capture_output=True, text=True, timeout=100
    )
    assert watched.returncode == 0 and "report.html" in watched.stdout, watched.stderr


def test_requeued_in_mid_training_and_mid_generation(cluster: Path, outputs: Path, undisturbed: bytes) -> None:
    submit(outputs, LONG)
    submission = submission_of(outputs)
    prune = [sys.executable, "-m", "safetax.steps", "prune", "--yes", f"--outputs={outputs}"]
    pruned = subprocess.run(prune, capture_output=True, text=True, timeout=100, cwd=outputs.parent)
    # The jobs wait, or the first of them is at work already.
    told = any(words in pruned.stderr for words in ("are to make steps", "A run is at work"))
    assert pruned.returncode == 2 and told, pruned.stdout + pruned.stderr
    train = wait(lambda: at_work(submission, "train"))
    slurm("scontrol", "requeue", train)
    generate = wait(lambda: at_work(submission, "generate"))
    slurm("scontrol", "requeue", generate)
    wait(lambda: not living())
    assert results(outputs) == undisturbed
    (manifest,) = trainings(outputs, "25 epochs")
    assert manifest["summary"]["attempts"] == 2 and manifest["summary"]["resumed_at"] > 0


def test_told_to_end_on_two_nodes(cluster: Path, outputs: Path, undisturbed: bytes) -> None:
    """The first node asks for the next turn; the batch script ends the other's work and has the job queued again."""
    submit(outputs, LONG, "runtime.generate_nodes=2")
    submission = submission_of(outputs)
    generate = wait(lambda: at_work(submission, "generate"))
    slurm("scancel", "--signal=USR2", generate)
    wait(lambda: not living())
    (turns,) = [submission.state(job)["attempts"] for job in submission.jobs if job.id == generate]
    assert turns == 2 and results(outputs) == undisturbed


def test_the_same_command_again_while_its_jobs_live(cluster: Path, outputs: Path, undisturbed: bytes) -> None:
    submit(outputs, LONG)
    first = submission_of(outputs)
    wait(lambda: at_work(first, "train"))
    told = submit(outputs, LONG).stdout
    assert "1 jobs submitted." in told and "that were submitted from here before go on" in told
    second = submission_of(outputs)
    assert {job.id for job in second.jobs[:-1]} <= {job.id for job in first.jobs[:-1]}
    wait(lambda: not living())
    assert {seen.state for seen in job_statuses(second, queue())} == {"done"} and results(outputs) == undisturbed


def test_cancelled_and_submitted_again(cluster: Path, outputs: Path, undisturbed: bytes) -> None:
    submit(outputs, LONG)
    submission = submission_of(outputs)
    train = wait(lambda: at_work(submission, "train"))
    slurm("scancel", train)
    wait(lambda: not living())
    states = {seen.job.kind: seen for seen in job_statuses(submission, queue())}
    assert states["train"].state in ("failed", "cancelled") and states["generate"].state == "cancelled"
    again = subprocess.run(
        [sys.executable, "-m", "safetax.sweep", "--resubmit", str(submission.target)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert again.returncode == 0, again.stderr
    wait(lambda: not living())
    assert results(outputs) == undisturbed


@pytest.mark.timeout(1300)
def test_a_time_limit_that_hits(cluster: Path, outputs: Path, made: Path, long_run: Path, tmp_path: Path) -> None:
    """The training is told to stop, again and again; each turn goes on from the last.

    Slurm looks at limits every half minute and warns up to half a minute early: 5 to 35 seconds after the job began.
    """
    (training,) = trainings(long_run, "25 epochs")
    longer = f"epochs={max(25, round(25 * 50 / training['summary']['train_seconds']))}"
    (expected,) = alone(made, tmp_path / "alone", longer).glob("runs/*/results.json")
    submit(outputs, longer, "runtime.slurm.minutes_of.train=1", "runtime.slurm.warn_seconds=25")
    submission = submission_of(outputs)
    wait(lambda: not living(), 1000)  # on a slow machine a turn may be over behind its first step
    assert results(outputs) == expected.read_bytes()
    (turns,) = [submission.state(job)["attempts"] for job in submission.jobs if job.kind == "train"]
    assert turns >= 2


def test_a_node_that_dies_and_comes_back(cluster: Path, outputs: Path, undisturbed: bytes) -> None:
    submit(outputs, LONG, "runtime.checkpoint_minutes=0.02")
    submission = submission_of(outputs)
    job = wait(lambda: at_work(submission, "train"))
    wait(lambda: list(outputs.glob("train/*/scratch/checkpoint-*/complete")))
    node = queue()[job].node
    dev("kill-node", cluster, node)
    dev("start-node", cluster, node)
    wait(lambda: not living(), 400)
    assert results(outputs) == undisturbed


def test_two_sweeps_share_what_they_have_in_common(cluster: Path, outputs: Path, undisturbed: bytes) -> None:
    submit(outputs, LONG)
    first = submission_of(outputs)
    told = submit(outputs, LONG, "seed=0", "evaluation.answer_budget=20").stdout
    assert "made by jobs of other submissions" in told
    wait(lambda: not living())
    assert [manifest["summary"]["attempts"] for manifest in trainings(outputs, "25 epochs")] == [1]
    assert (first.target / "results.json").read_bytes() == undisturbed
    assert len(list(outputs.glob("runs/*/results.json"))) == 2


@pytest.mark.deepspeed
def test_zero3_across_two_nodes(cluster: Path, outputs: Path) -> None:
    spread = ["epochs=1", "runtime.devices=2", "runtime.nodes=2", "runtime.zero=3", "runtime.generate_nodes=2"]
    submit(outputs, "seed=1", *spread)
    submission = submission_of(outputs)
    wait(lambda: not living(), 500)
    assert [seen.state for seen in job_statuses(submission, queue())] == ["done"] * len(submission.jobs)
    (training,) = trainings(outputs, "seed 1")
    assert (training["summary"]["devices"], training["summary"]["zero"]) == (2, 3)
    assert json.loads(results(outputs))


def test_a_partition_that_is_not_there(cluster: Path, outputs: Path) -> None:
    told = submit(outputs, LONG, "runtime.slurm.partition=gpus", code=2).stderr
    assert "runtime.slurm.partition=gpus" in told and "the cluster has dev" in told
    assert told.count("Error:") == 1 and "Traceback" not in told
    assert not living()


def test_nodes_that_do_not_share_the_outputs(cluster: Path, outputs: Path) -> None:
    for node in ("n0", "n1"):
        dev("kill-node", cluster, node)
        dev("start-node", cluster, node, "--hide", outputs)
    try:
        submit(outputs, LONG)
        submission = submission_of(outputs)
        wait(lambda: not living())
        seen = job_statuses(submission, queue())
    finally:
        for node in ("n0", "n1"):
            dev("kill-node", cluster, node)
            dev("start-node", cluster, node)
    first = next(each for each in seen if not each.job.after)
    assert first.state == "failed" and "runtime.outputs must lie on a file system that all nodes share" in first.why
    assert not list(outputs.glob("runs/*/results.json"))


def test_a_worker_that_is_killed_for_want_of_memory(cluster: Path, outputs: Path) -> None:
    """What the kernel does then is to kill the largest process, without a word to anyone."""
    submit(outputs, LONG)
    submission = submission_of(outputs)
    job = wait(lambda: at_work(submission, "train"))
    workers = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/environ")
        if f"SLURM_JOB_ID={job}\0".encode() in read(path)
        and b"safetax.workers.serve" in read(path.with_name("cmdline"))
    ]
    os.kill(workers[0], signal.SIGKILL)
    wait(lambda: not living())
    seen = {each.job.kind: each for each in job_statuses(submission, queue())}
    assert seen["train"].state == "failed" and "raise runtime.slurm.memory_gb" in seen["train"].why
    assert seen["generate"].state == "cancelled" and str(seen["train"].log) in seen["generate"].why
    told = subprocess.run(
        [sys.executable, "-m", "safetax.sweep", "--once", str(submission.target)], capture_output=True, text=True
    )
    assert "raise runtime.slurm.memory_gb" in " ".join(told.stdout.split())


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_without_slurm_one_message_and_nothing_is_made(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "safetax", "hydra/launcher=slurm", f"runtime.outputs={tmp_path / 'o'}"],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PATH": "/nowhere"},
    )
    assert done.returncode == 2 and "there is no sbatch on the PATH" in done.stderr, done.stderr
