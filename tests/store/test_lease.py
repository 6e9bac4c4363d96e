"""Leases: an owner on another host is waited for as long as it lives, and finds out when it was overtaken."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from safetax.store import lease
from safetax.store.locks import has_lost_lease, lock_path, locked, owner, try_locked


@pytest.fixture
def step(tmp_path: Path) -> Path:
    directory = tmp_path / "outputs" / "prepare" / "0123456789ab"
    directory.mkdir(parents=True)
    return directory


def foreign(step: Path, **values: object) -> None:
    """Leave a lock file as an owner on another host does."""
    lock_path(step).parent.mkdir(parents=True, exist_ok=True)
    about = {"process": 7, "host": "elsewhere", "job": None, "token": "t", **values}
    lock_path(step).write_text(json.dumps(about))


def test_a_live_owner_on_another_host_is_waited_for(step: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel of this host knows nothing of it: its touches do."""
    monkeypatch.setattr(lease, "LEASE_TIMEOUT", 1.5)
    foreign(step)
    assert owner(step) == "process 7 on elsewhere"
    with try_locked(step) as held:
        assert not held
    over = threading.Event()

    def beat() -> None:
        for _ in range(8):
            time.sleep(0.4)
            os.utime(lock_path(step))
        over.set()

    threading.Thread(target=beat).start()
    told: list[str] = []
    with locked(step, told.append):
        assert over.is_set(), "it was taken from an owner that lived"
        assert told == ["process 7 on elsewhere"]


def test_a_lease_that_was_renewed_next_year_is_none(step: Path) -> None:
    """A clock was set back: the owner would else live until that day comes."""
    foreign(step)
    os.utime(lock_path(step), (time.time() + 3e7, time.time() + 3e7))
    assert owner(step) is None
    with try_locked(step) as held:
        assert held


def test_a_lock_that_was_given_back_elsewhere_is_free_at_once(step: Path) -> None:
    foreign(step)
    lock_path(step).write_text("")
    with locked(step):
        assert owner(step) == f"process {os.getpid()} on {os.uname().nodename}"
    assert lock_path(step).read_text() == ""


def test_an_owner_whose_job_is_gone_is_not_waited_for(step: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "job_has_ended", lambda job: job == "5")
    foreign(step, job="5")
    began = time.monotonic()
    with locked(step):
        assert time.monotonic() - began < lease.LEASE_TIMEOUT / 2


def test_whoever_was_overtaken_does_not_finish(step: Path) -> None:
    with locked(step) as descriptor:
        assert not has_lost_lease(descriptor)
        foreign(step)
        assert has_lost_lease(descriptor)
    assert "elsewhere" in lock_path(step).read_text(), "and leaves the new owner's name"
