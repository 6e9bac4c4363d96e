"""Locks, with real processes: who waits, what a lock survives and with whom it goes."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from safetax.errors import UserError
from safetax.run.worker_process import WorkerProcess
from safetax.store.locks import exclusive_use, is_locked, lock_path, locked, owner, shared_use, try_locked
from safetax.store.status import Store
from tests.support.tiny_steps import ended, kill, make, prompts, python, until

HOLD = """
import sys, time
from pathlib import Path
from safetax.store.locks import locked
with locked(Path(sys.argv[1]), lambda owner: print("waits for", owner, flush=True)):
    print("held", flush=True)
    sys.stdin.readline()
"""


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def step(tmp_path: Path) -> Path:
    directory = tmp_path / "outputs" / "prepare" / "0123456789ab"
    directory.mkdir(parents=True)
    return directory


def test_lock_is_held_and_given_back(step: Path) -> None:
    assert not is_locked(step)
    with locked(step):
        assert is_locked(step)
        assert owner(step) == f"process {os.getpid()} on {os.uname().nodename}"
        with try_locked(step) as held:
            assert not held
    assert not is_locked(step) and owner(step) is None
    with try_locked(step) as held:
        assert held and is_locked(step)


def test_two_looks_at_once_take_each_other_for_no_owner(step: Path) -> None:
    with locked(step):
        pass
    looker = python(
        "import fcntl, os, sys\n"
        "fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_SH)\n"  # what a look does
        "print('looks', flush=True); sys.stdin.readline()",
        lock_path(step),
    )
    assert said(looker) == "looks"
    assert not is_locked(step)
    kill(looker)


def test_second_process_waits_for_the_first_and_says_for_whom(step: Path) -> None:
    first, second = python(HOLD, step), None
    try:
        assert said(first) == "held"
        second = python(HOLD, step)
        assert said(second).startswith(f"waits for process {first.pid} on ")
        assert is_locked(step)
        first.communicate("\n", timeout=10)
        assert said(second) == "held"
        assert (owner(step) or "").startswith(f"process {second.pid} on")
    finally:
        for process in filter(None, (first, second)):
            kill(process)


def test_lock_goes_with_a_killed_holder(step: Path) -> None:
    holder = python(HOLD, step)
    assert said(holder) == "held"
    kill(holder)
    assert not is_locked(step)


def test_lock_survives_the_parent_of_its_holder(step: Path) -> None:
    """An orphan that still works is never overtaken."""
    parent = python(
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', sys.argv[1], sys.argv[2]], stdout=subprocess.PIPE,\n"
        "                         stdin=subprocess.PIPE, text=True, start_new_session=True)\n"
        "child.stdout.readline(); print(child.pid, flush=True); sys.stdin.readline()",
        HOLD.replace("sys.stdin.readline()", "time.sleep(60)"),
        step,
    )
    child = int(said(parent))
    kill(parent)
    assert is_locked(step)
    os.kill(child, 9)
    until(lambda: ended(child))
    until(lambda: not is_locked(step))


def test_lock_is_inherited_by_a_child_that_is_given_it_and_by_no_other(step: Path) -> None:
    code = """
import subprocess, sys
from pathlib import Path
from safetax.store.locks import locked
with locked(Path(sys.argv[1])) as lock:
    given = (lock,) if sys.argv[2] == "given" else ()
    child = subprocess.Popen(["sleep", "60"], pass_fds=given, stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    sys.stdin.readline()
"""
    for given in ("given", "kept"):
        holder = python(code, step, given)
        child = int(said(holder))
        kill(holder)
        assert is_locked(step) == (given == "given")
        os.kill(child, 9)
        until(lambda: not is_locked(step))


def test_lock_file_removed_under_a_waiter_does_not_let_two_in(step: Path) -> None:
    first, second = python(HOLD, step), python(HOLD, step)
    try:
        words = {said(first), said(second)}
        assert "held" in words and len(words) == 2
        holder, waiter = (
            (first, second) if owner(step) == f"process {first.pid} on {os.uname().nodename}" else (second, first)
        )
        lock_path(step).unlink()
        holder.communicate("\n", timeout=10)
        assert said(waiter) == "held"
        assert is_locked(step), "the waiter holds the lock that others see"
    finally:
        kill(first)
        kill(second)


def test_second_worker_waits_and_then_reuses(tmp_path: Path) -> None:
    store = Store(tmp_path / "outputs")
    directory = store.freeze(prompts())
    worker = WorkerProcess()
    with locked(directory):
        events = worker.do("prepare", [directory])
        event = next(events)
        assert event["event"] == "waiting"
        assert event["owner"] == f"process {os.getpid()} on {os.uname().nodename}"
        # What the holder does meanwhile, in a place of its own, since it is this process that holds the lock.
        other = Store(tmp_path / "other")
        make(other, prompts())
        for file in other.directory(prompts()).iterdir():
            shutil.copy2(file, directory)
    assert [event["event"] for event in events] == ["reused", "done"]
    worker.close()
    assert worker.process.returncode == 0


def test_waiting_worker_ends_with_its_parent(tmp_path: Path) -> None:
    directory = Store(tmp_path / "outputs").freeze(prompts())
    code = (
        "import sys\nfrom pathlib import Path\nfrom safetax.run.worker_process import WorkerProcess\n"
        "worker = WorkerProcess(); print(worker.process.pid, flush=True)\n"
        "for event in worker.do('prepare', [Path(sys.argv[1])]): print(event['event'], flush=True)"
    )
    with locked(directory):
        parent = python(code, directory)
        worker = int(said(parent))
        assert said(parent) == "waiting"
        kill(parent)
        until(lambda: ended(worker))
    assert not is_locked(directory)


def test_outputs_in_use_are_not_free(tmp_path: Path) -> None:
    with shared_use(tmp_path), shared_use(tmp_path), exclusive_use(tmp_path) as free:
        assert not free
    with exclusive_use(tmp_path) as free:
        assert free


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named(step: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    with locked(step):
        pass  # so that there is a file to look at
    monkeypatch.setattr("safetax.store.locks.fcntl.flock", refuse)
    outputs = step.parent.parent
    for context in (locked(step), try_locked(step), shared_use(outputs), exclusive_use(outputs)):
        with pytest.raises(UserError, match=f"runtime.outputs={outputs}: its file system keeps no locks"), context:
            pass
    with pytest.raises(UserError, match=os.strerror(number)):
        is_locked(step)
