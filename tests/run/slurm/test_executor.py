"""What a job asks Slurm for, and how it is queued again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from submitit.slurm.slurm import SlurmJobEnvironment

from safetax.errors import UserError
from safetax.run.slurm.executor import leave_requeue_to_script
from tests.support.fake_slurm import (
    FakeSlurm,
    lab,
    lines_of,
    sent,
    site,
)


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
