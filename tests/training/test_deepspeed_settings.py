"""Settings of DeepSpeed: what is refused before a rank is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetax.errors import UserError
from tests.conftest import run_lab


def test_muon_under_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"alignment\.optimizer=muon_adamw does not go with runtime\.zero=3"):
        run_lab(tmp_path / "o", "runtime.zero=3", "alignment.optimizer=muon_adamw", "alignment.muon_learning_rate=0.01")
    with pytest.raises(UserError, match=r"reasoning\.training\.optimizer=muon_adamw does not go with runtime\.zero=3"):
        run_lab(tmp_path / "o", "runtime.zero=3", "runtime.distributed=[reasoning,alignment]")
    assert not (tmp_path / "o").exists()


def test_settings_that_deepspeed_would_not_follow_are_refused() -> None:
    from safetax.config.training import Training
    from safetax.training.deepspeed_settings import check_zero

    plain = Training(1, 1e-3, 8, 128)
    muon = Training(1, 1e-3, 8, 128, optimizer="muon_adamw", muon_learning_rate=1e-2)
    for training, zero, offload, match in (
        (plain, 0, "optimizer", r"runtime\.offload=optimizer does not go with runtime\.zero=0"),
        (plain, 2, "all", r"runtime\.offload=all does not go with runtime\.zero=2"),
        (muon, 3, "none", "optimizer=muon_adamw does not go with"),
    ):
        with pytest.raises(UserError, match=match):
            check_zero(training, {"zero": zero, "offload": offload})
    check_zero(muon, {"zero": 0, "offload": "auto"})
    check_zero(plain, {"zero": 3, "offload": "all"})
