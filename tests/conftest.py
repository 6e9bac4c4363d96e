"""What the tests share: a quick lab, run once for all of them through the real command's own parts."""

from __future__ import annotations

import fcntl
import io
import logging
import os
import shutil
from pathlib import Path

import pytest

# What Hydra's and MLflow's libraries would ask the network for, no test does.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Output that goes nowhere is as wide as it likes, also below pytest-xdist.
os.environ.pop("COLUMNS", None)
# Threads that wait for each other collapse when workers run beside the tests.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A thread whose request was given up may end behind its test, whose captured streams are closed by then.
logging.raiseExceptions = False


def run_lab(outputs: Path, *overrides: str, sweep: bool = False) -> str:
    """Run the quick lab in this process's place of the command and return what it printed."""
    from rich.console import Console

    from safetax.config.compose import Composer
    from safetax.run.session import Session

    text = io.StringIO()
    composer = Composer()
    arguments = ["+experiment=lab_quick", "tracking=off", f"runtime.outputs={outputs}", *overrides]
    session = Session(Console(file=text, width=120))
    try:
        session.run(session.plan(composer.jobs(arguments, multirun=sweep)), sweep=sweep)
    finally:
        print(text.getvalue())
    return text.getvalue()


@pytest.fixture(scope="session")
def quick_lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of a quick lab with one aligned model; tests that change anything work on a copy."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # one for all of the test run's processes
    outputs = shared / "quick-lab" / "outputs"
    with (shared / "quick-lab.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not outputs.exists():
            made = outputs.with_name("making")
            run_lab(made, "runtime.workers=2")
            made.rename(outputs)
    return outputs


@pytest.fixture
def copied_lab(quick_lab: Path, tmp_path: Path) -> Path:
    """A copy of the quick lab's outputs to work on."""
    return Path(shutil.copytree(quick_lab, tmp_path / "outputs"))


@pytest.fixture
def chromium() -> str:
    """Path of a Chromium; skips where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("Chromium is not installed")
