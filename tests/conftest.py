"""What the tests share: a quick lab, run once for all of them through the real command's own parts."""

from __future__ import annotations

import fcntl
import io
import logging
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from safetax.results.collect import Collected, collect
from safetax.results.document import Results
from tests.support.synthetic import DATASETS, make_outputs
from tests.support.synthetic_methods import FIVE, category_outputs, methods_outputs, samples_outputs
from tests.support.synthetic_paper import make_paper_outputs

# What Hydra's and MLflow's libraries would ask the network for, no test does.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Output that goes nowhere is as wide as it likes, also below pytest-xdist.
os.environ.pop("COLUMNS", None)
# Threads that wait for each other collapse when workers run beside the tests.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test fails for a busy machine.
settings.register_profile("safetax", deadline=None)
settings.load_profile("safetax")
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


@pytest.fixture(scope="session")
def one_seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up outputs of two data sets and one seed; tests that change anything work on a copy."""
    return make_outputs(tmp_path_factory.mktemp("one") / "outputs", DATASETS[:2], (0, 1, 5), (0,))


@pytest.fixture(scope="session")
def three_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with three seeds."""
    return make_outputs(tmp_path_factory.mktemp("three") / "outputs", DATASETS[:2], (0, 1, 5), (0, 1, 2))


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Results of five methods, two of them refined."""
    outputs = methods_outputs(tmp_path_factory.mktemp("few"), FIVE, (0, 1, 5), (0, 1), prompts=24)
    return collect([outputs]).results


@pytest.fixture(scope="session")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Results of runs on 1, 10 and 100 samples, each of two draws."""
    folder, counts = tmp_path_factory.mktemp("samples"), (1, 10, 100)
    return collect([samples_outputs(folder, counts, ("direct_refusal",), (0, 1), (None, 100), prompts=30)]).results


@pytest.fixture(scope="session")
def categorised(tmp_path_factory: pytest.TempPathFactory) -> Collected:
    """Results of prompts that have categories."""
    return collect([category_outputs(tmp_path_factory.mktemp("categories"), prompts=24)])


@pytest.fixture(scope="session")
def paper_outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of the papers' shape: several judges, repeated prompts, thinking, published figures, costs."""
    return make_paper_outputs(tmp_path_factory.mktemp("paper") / "outputs", epochs=(0, 1, 5), size=0.4)


@pytest.fixture(scope="session")
def paper(paper_outputs: Path) -> Results:
    """Their results."""
    return collect([paper_outputs]).results


@pytest.fixture(scope="session")
def paper_and_sound(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Results of the same weights under two evaluations."""
    folder = tmp_path_factory.mktemp("both") / "outputs"
    return collect([make_paper_outputs(folder, ("paper", "sound"), epochs=(0, 5), size=0.4)]).results


@pytest.fixture
def chromium() -> str:
    """Path of a Chromium; skips where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("Chromium is not installed")
