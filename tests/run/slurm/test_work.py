"""What runs inside a job: the work itself, and what it tells whoever watches."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from submitit.slurm.slurm import SlurmJobEnvironment

from safetax.errors import StepError
from safetax.run.slurm.record import state_path
from safetax.run.slurm.work import StepsJob
from safetax.store.manifest import read_json
from safetax.store.status import Store
from safetax.store.step import Step
from tests.support.tiny_steps import chats, prompts


@pytest.fixture(autouse=True)
def in_a_job(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of a job, and afterwards this process as it was."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURMD_NODENAME", "n3")
    monkeypatch.setattr(SlurmJobEnvironment, "_requeue", SlurmJobEnvironment._requeue)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def job_of(store: Store, target: Path, *steps: Step) -> StepsJob:
    (target / "cluster").mkdir(parents=True)
    directories = [str(store.freeze(step)) for step in steps]
    return pickle.loads(pickle.dumps(StepsJob("prepare", directories, None, str(target), 60)))  # as submitit hands it


def test_a_job_does_its_steps_and_tells_that_it_is_done(tmp_path: Path) -> None:
    store, target = Store(tmp_path / "outputs"), tmp_path / "target"
    job_of(store, target, chats(3), chats(4))()
    assert store.status(chats(3)).complete and store.status(chats(4)).complete
    told = read_json(state_path(target, "17")) or {}
    assert (told["state"], told["job"], told["node"], told["attempts"]) == ("done", "17", "n3", 1)


def test_a_job_of_which_a_step_fails_does_the_others_and_fails(tmp_path: Path) -> None:
    store, target = Store(tmp_path / "outputs"), tmp_path / "target"
    with pytest.raises(StepError, match="samples is 5000"):
        job_of(store, target, prompts(5000), chats(4))()
    assert store.status(chats(4)).complete and not store.status(prompts(5000)).complete
    told = read_json(state_path(target, "17")) or {}
    assert told["state"] == "failed" and "samples is 5000" in told["message"]
    assert Path(told["log"]).is_file()


def test_a_node_that_does_not_see_the_folder_says_so(tmp_path: Path) -> None:
    store, target = Store(tmp_path / "outputs"), tmp_path / "target"
    job = job_of(store, target, chats(3))
    store.root.rename(tmp_path / "elsewhere")
    with pytest.raises(StepError, match="node n3 does not see"):
        job()


def test_a_job_that_is_to_end_goes_on_in_its_next_turn(tmp_path: Path) -> None:
    store, target = Store(tmp_path / "outputs"), tmp_path / "target"
    job = job_of(store, target, chats(3))
    job.began = 2
    again = job.checkpoint()
    assert (read_json(state_path(target, "17")) or {})["state"] == "requeued"
    assert again.function.directories == job.directories and again.function.began == 2
