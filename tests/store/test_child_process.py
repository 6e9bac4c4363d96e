"""Processes that a worker starts: they take themselves for no rank, and end when the worker does."""

from __future__ import annotations

import os
import sys

import pytest

from safetax.store.child_process import PARENT, clean_environment
from tests.support.tiny_steps import ended, kill, python, until


def test_a_child_does_not_take_itself_for_a_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID", "GROUP_RANK", "ROLE_RANK"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("RANKING", "kept")
    environment = clean_environment()
    assert not {"RANK", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID", "GROUP_RANK", "ROLE_RANK"} & environment.keys()
    assert environment["RANKING"] == "kept" and environment[PARENT] == str(os.getpid())


CHILD = """
import sys, time
from safetax.store.child_process import end_with_parent
end_with_parent()
print("bound", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_a_child_ends_with_a_parent_that_is_killed() -> None:
    parent = python(
        "import subprocess, sys\n"
        "from safetax.store.child_process import clean_environment\n"
        "child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], env=clean_environment(),\n"
        "                         stdout=subprocess.PIPE, start_new_session=True)\n"
        "child.stdout.readline(); print(child.pid, flush=True); sys.stdin.readline()",
        CHILD,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert not ended(child)
    kill(parent)
    until(lambda: ended(child))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_a_child_whose_parent_died_before_it_asked_ends_too() -> None:
    orphan = python(CHILD, env={**clean_environment(), PARENT: "1"})
    assert orphan.wait(timeout=30) == 1
