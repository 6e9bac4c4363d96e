"""The reference model: a copy, and the trained one with its adapters disabled."""

from __future__ import annotations

import copy

from safetax.config.training import Lora
from tests.support.tiny_models import tiny_model


def test_with_adapters_off_the_model_is_its_start_and_comes_back() -> None:
    """Adapters that do something by now: its logits are those of a copy, in training mode with dropout too."""
    import torch

    from safetax.training.lora import add_adapters
    from safetax.training.reference_model import ReferenceModel

    model = tiny_model("qwen3", attention_dropout=0.5)
    copied = ReferenceModel.of_copy(copy.deepcopy(model))
    adapted = add_adapters(model, Lora(rank=2, dropout=0.5), float32=True).train()
    for name, value in adapted.named_parameters():
        if ".lora_" in name:
            torch.nn.init.normal_(value, std=0.3)
    off = ReferenceModel(model, adapted)
    inputs = {"input_ids": torch.arange(20).unsqueeze(0), "attention_mask": torch.ones(1, 20), "labels": None}
    assert torch.equal(off.logits(inputs), copied.logits(inputs))
    assert torch.equal(off.head(off.hidden(inputs)), copied.logits(inputs))
    assert not off.logits(inputs).requires_grad
    assert all(module.training for module in adapted.modules())
    assert all(value.requires_grad == (".lora_" in name) for name, value in adapted.named_parameters())
    assert not torch.allclose(adapted(input_ids=inputs["input_ids"]).logits, copied.logits(inputs), atol=0.1)
