"""Settings of DeepSpeed: what is refused before a rank is started, and what it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safetax.config.training import Training
from safetax.errors import UserError
from safetax.training.deepspeed_settings import deepspeed_config
from tests.conftest import run_lab


def test_what_deepspeed_would_not_follow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"alignment\.optimizer=muon_adamw does not go with runtime\.zero=3"):
        run_lab(tmp_path / "o", "runtime.zero=3", "alignment.optimizer=muon_adamw", "alignment.muon_learning_rate=0.01")
    with pytest.raises(UserError, match=r"reasoning\.training\.optimizer=muon_adamw does not go with runtime\.zero=3"):
        run_lab(tmp_path / "o", "runtime.zero=3", "runtime.distributed=[reasoning,alignment]")
    for wrong in ("runtime.zero=0", "runtime.zero=2"):
        with pytest.raises(UserError, match=r"offload=all does not go with zero=.; allowed is zero=3"):
            run_lab(tmp_path / "o", wrong, "runtime.offload=all")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("training", "runtime", "zero"),
    [
        ({}, {"zero": 3, "offload": "all"}, {"stage": 3, "offload_optimizer": "cpu", "offload_param": "cpu"}),
        ({}, {"zero": 2, "offload": "optimizer"}, {"stage": 2, "offload_optimizer": "cpu"}),
        ({"dtype": "bfloat16"}, {"zero": 3, "offload": "none"}, {"stage": 3}),
        ({"dtype": "bfloat16_mixed", "max_grad_norm": None}, {"zero": 1, "offload": "none"}, {"stage": 1}),
    ],
)
def test_deepspeed_is_told_stage_formats_and_what_is_kept_on_the_host(
    training: dict[str, Any], runtime: dict[str, Any], zero: dict[str, Any]
) -> None:
    settings = Training(1, 1e-3, 8, 128, **training)
    told = deepspeed_config(settings, runtime, micro=2)
    found = told["zero_optimization"]
    kept = {name: found[name]["device"] for name in ("offload_optimizer", "offload_param") if name in found}
    assert {"stage": found["stage"], **kept} == zero
    assert told["bf16"]["enabled"] == (settings.dtype != "float32")
    assert told["bf16"]["bf16_master_weights_and_grads"] == (settings.dtype == "bfloat16")
    assert told["gradient_clipping"] == (settings.max_grad_norm or 0.0)
    assert told["train_micro_batch_size_per_gpu"] == 2 and "optimizer" not in told
