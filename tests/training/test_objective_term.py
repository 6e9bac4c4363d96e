"""The term of an objective in a batch's loss and gradients, against the sums by hand; the reference model."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from safetax.config.training import Lora
from safetax.training.objectives import objective_of
from safetax.training.objectives.kl import Config
from tests.support.tiny_models import tiny_model


@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_loss_and_gradients_of_a_batch_are_those_by_hand(direction: Any, chunk: int | None) -> None:
    """Two micro batches of a global batch, one of them with a row that the objective does not concern."""
    import torch

    from safetax.training.loss import use_chunked_loss
    from safetax.training.objective_term import ObjectiveTerm, ReferenceModel, use_objective_term

    frozen, model = tiny_model("qwen2", seed=0), tiny_model("qwen2", seed=1)
    by_hand = copy.deepcopy(model)
    ids = torch.randint(0, 97, (4, 11), generator=torch.Generator().manual_seed(2))
    labels = ids.clone()
    labels[:, :4] = -100
    labels[1, 7:] = -100
    in_objective = torch.tensor([True, True, False, True])
    kept = labels[:, 1:] != -100
    in_objective = in_objective.unsqueeze(1).expand(labels.shape)
    chosen = kept & in_objective[:, 1:]

    logits, held = by_hand(input_ids=ids).logits[:, :-1], frozen(input_ids=ids).logits[:, :-1].detach()
    entropy = torch.nn.functional.cross_entropy(logits[kept], labels[:, 1:][kept])
    q, p = logits[chosen].softmax(1), held[chosen].softmax(1)
    divergence = (p * (p / q).log() if direction == "forward" else q * (q / p).log()).sum(1).mean()
    (entropy + 0.5 * divergence).backward()

    term = ObjectiveTerm(objective_of(Config("kl", 0.5, direction=direction)), ReferenceModel.of_copy(frozen))
    if chunk is None:
        use_objective_term(model, term)
    else:
        use_chunked_loss(model, chunk, term)
    loss = 0.0
    for half in (slice(0, 2), slice(2, 4)):
        share = model(
            input_ids=ids[half],
            attention_mask=torch.ones_like(ids[half]),
            labels=labels[half],
            num_items_in_batch=kept.sum(),
            in_objective=in_objective[half],
            objective_tokens=chosen.sum(),
        ).loss
        share.backward()
        loss += share.item()
    assert loss == pytest.approx((entropy + 0.5 * divergence).item(), rel=1e-5)
    assert term.pop_mean() == pytest.approx(divergence.item(), rel=1e-5)
    assert term.pop_mean() == 0
    slopes = {name: value.grad for name, value in by_hand.named_parameters()}
    for name, value in model.named_parameters():
        torch.testing.assert_close(value.grad, slopes[name], rtol=1e-4, atol=1e-6, msg=name)
    assert all(value.grad is None for value in frozen.parameters())


def test_with_adapters_off_the_model_is_its_start_and_comes_back() -> None:
    """Adapters that do something by now: its logits are those of a copy, in training mode with dropout too."""
    import torch

    from safetax.training.lora import add_adapters
    from safetax.training.objective_term import ReferenceModel

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
