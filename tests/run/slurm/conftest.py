"""A submission on disk, and a machine with Slurm's programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from safetax.run.slurm.record import Submission, Submitted
from tests.support.fake_slurm import (
    FakeSlurm,
)


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


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    fake = FakeSlurm(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{fake.programs}:{os.environ['PATH']}")
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        monkeypatch.delenv(name)
    return fake
