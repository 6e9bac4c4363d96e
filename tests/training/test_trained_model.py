"""The number formats that a model is trained and saved in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from safetax.config.training import Lora, Training
from safetax.training.trained_model import saved_dtype, weights_dtype
from tests.support.tiny_models import chats, save_tiny, training_step
from tests.support.tiny_trainings import (
    summary_of,
    train_in_process,
    weights,
)


@pytest.mark.parametrize(
    ("dtype", "weights_in", "masters"),
    [
        ("float32", "float32", "float32"),
        ("bfloat16", "bfloat16", "bfloat16"),
        ("bfloat16_mixed", "float32", "float32"),
    ],
)
def test_numbers_are_in_the_format_that_was_asked_for(
    tmp_path: Path, dtype: str, weights_in: str, masters: str
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from safetax.training.trainer import SupervisedTrainer

    seen: dict[str, set[torch.dtype]] = {"gradients": set(), "products": set()}
    original = SupervisedTrainer.training_step

    def looked_at(self: Any, model: Any, *arguments: Any, **keywords: Any) -> torch.Tensor:
        layer = model.model.layers[0].mlp.up_proj
        hook = layer.register_forward_hook(lambda *found: seen["products"].add(found[2].dtype))
        loss = original(self, model, *arguments, **keywords)
        hook.remove()
        seen["gradients"] |= {value.grad.dtype for value in model.parameters()}
        return loss

    start = save_tiny(tmp_path / "start", "llama")
    step = training_step(tmp_path / "o", start, chats(8), dtype=dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SupervisedTrainer, "training_step", looked_at)
        assert train_in_process(step) == 0
    assert summary_of(step)["dtypes"] == {"weights": weights_in, "masters": masters, "optimizer": masters}
    assert seen["gradients"] == {getattr(torch, weights_in)}
    assert seen["products"] == {torch.float32 if dtype == "float32" else torch.bfloat16}
    saved = "float32" if dtype == "float32" else "bfloat16"
    assert {value.dtype for value in weights(step).values()} == {getattr(torch, saved)}
    assert json.loads((step / "model" / "config.json").read_text())["dtype"] == saved
    assert AutoModelForCausalLM.from_pretrained(step / "model").dtype == getattr(torch, saved)


@pytest.mark.parametrize(
    ("dtype", "zero", "lora", "loaded"),
    [
        ("float32", 3, Lora(), "float32"),
        ("bfloat16", 0, None, "bfloat16"),
        ("bfloat16_mixed", 0, None, "float32"),
        ("bfloat16_mixed", 2, None, "bfloat16"),
        ("bfloat16_mixed", 0, Lora(), "bfloat16"),
    ],
)
def test_weights_are_loaded_in_float32_only_where_they_are_the_masters(
    dtype: Any, zero: int, lora: Lora | None, loaded: str
) -> None:
    training = Training(1, 1e-3, 8, 64, dtype=dtype, lora=lora)
    assert weights_dtype(training, {"zero": zero}) == loaded
    assert saved_dtype(training) == ("float32" if dtype == "float32" else "bfloat16")
