"""Claims of steps by the cluster's jobs, without a Slurm: what is written, and who still counts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from safetax.errors import UserError
from safetax.store import claims

KEYS = ("train/0123456789ab", "generate/ba9876543210")


def test_the_last_claim_of_a_step_counts(tmp_path: Path) -> None:
    assert claims.claimed_by(tmp_path, KEYS) == {} and claims.living(tmp_path) == {}
    claims.claim(tmp_path, KEYS[0], "7")
    claims.claim(tmp_path, KEYS[0], "8")
    assert claims.claimed_by(tmp_path, KEYS) == {KEYS[0]: "8"}


def test_only_living_jobs_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claims.claim(tmp_path, KEYS[0], "7")
    claims.claim(tmp_path, KEYS[1], "8")
    jobs = {"7": SimpleNamespace(living=False), "8": SimpleNamespace(living=True)}
    monkeypatch.setattr(claims, "queue", lambda: jobs)
    assert claims.living(tmp_path) == {KEYS[1]: "8"}
    assert claims.blockers(tmp_path) == "1 jobs of the cluster, such as 8, may need them"
    jobs["8"].living = False
    assert claims.blockers(tmp_path) is None


def test_a_cluster_that_does_not_answer_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent() -> dict[str, object]:
        raise UserError("Slurm does not answer")

    monkeypatch.setattr(claims, "queue", silent)
    assert claims.blockers(tmp_path) is None, "nothing was ever submitted"
    claims.claim(tmp_path, KEYS[0], "7")
    assert claims.blockers(tmp_path) == "jobs were submitted there, and Slurm does not answer"
