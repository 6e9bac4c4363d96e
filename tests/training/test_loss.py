"""The loss that never holds the logits of all tokens: the same numbers as the whole one, in less memory."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from safetax.errors import UserError
from tests.support.tiny_models import tiny_model

VOCABULARY = 97


def batch(seed: int = 0) -> dict[str, Any]:
    """Two rows of 19 tokens, the second shorter; loss on a part of each."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, VOCABULARY, (2, 19), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 15:] = 0
    labels = ids.clone()
    labels[0, :6] = -100
    labels[1, :3] = -100
    labels[1, 15:] = -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def gradients(model: Any, **keywords: Any) -> tuple[float, dict[str, Any]]:
    model.train()
    model.zero_grad()
    loss = model(**batch(), **keywords).loss
    loss.backward()
    return loss.item(), {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


@pytest.mark.parametrize(
    ("model_type", "tied"), [("qwen2", False), ("qwen2", True), ("qwen3", False), ("qwen3", True), ("llama", False)]
)
@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_loss_and_all_gradients_are_those_of_the_whole_computation(model_type: str, tied: bool, chunk: int) -> None:
    import torch

    from safetax.training.loss import use_chunked_loss

    whole = tiny_model(model_type, VOCABULARY, tie_word_embeddings=tied)
    lean = copy.deepcopy(whole)
    use_chunked_loss(lean, chunk)
    for items in (None, torch.tensor(40)):
        expected, slopes = gradients(whole, num_items_in_batch=items)
        found, own = gradients(lean, num_items_in_batch=items)
        assert found == pytest.approx(expected, rel=1e-6)
        assert own.keys() == slopes.keys() == {name for name, _ in whole.named_parameters()}
        for name, slope in slopes.items():
            assert slope.abs().max() > 0
            torch.testing.assert_close(own[name], slope, rtol=1e-4, atol=1e-7, msg=name)


def test_with_gradient_checkpointing() -> None:
    import torch

    from safetax.training.loss import use_chunked_loss

    whole = tiny_model("qwen3", VOCABULARY)
    lean = copy.deepcopy(whole)
    use_chunked_loss(lean, 4)
    lean.gradient_checkpointing_enable()
    expected, slopes = gradients(whole)
    found, own = gradients(lean)
    assert found == pytest.approx(expected, rel=1e-6)
    for name, slope in slopes.items():
        torch.testing.assert_close(own[name], slope, rtol=1e-4, atol=1e-7, msg=name)


@pytest.mark.parametrize("how", ["autocast", "bfloat16"])
def test_in_bfloat16_it_is_no_further_from_the_truth_than_the_whole_computation(how: str) -> None:
    import torch

    from safetax.training.loss import use_chunked_loss

    true = tiny_model("qwen2", VOCABULARY)
    truth, slopes = gradients(true)
    dtype = torch.bfloat16 if how == "bfloat16" else torch.float32
    whole = copy.deepcopy(true).to(dtype)
    lean = copy.deepcopy(whole)
    use_chunked_loss(lean, 3)

    def errors(model: Any) -> dict[str, float]:
        with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
            loss, own = gradients(model)
        assert loss == pytest.approx(truth, rel=0.01)
        assert {slope.dtype for slope in own.values()} == {dtype}
        return {name: ((own[name].float() - slope).norm() / slope.norm()).item() for name, slope in slopes.items()}

    plain, chunked = errors(whole), errors(lean)
    assert all(0 < chunked[name] < 1.5 * plain[name] + 0.005 for name in plain), (plain, chunked)


def test_a_frozen_head_gets_no_gradient() -> None:
    from safetax.training.loss import use_chunked_loss

    whole = tiny_model("llama", VOCABULARY)
    whole.lm_head.weight.requires_grad_(False)
    lean = copy.deepcopy(whole)
    use_chunked_loss(lean, 4)
    (expected, slopes), (found, own) = gradients(whole), gradients(lean)
    assert found == pytest.approx(expected, rel=1e-6)
    assert own.keys() == slopes.keys() and "lm_head.weight" not in own


def test_rows_without_loss_count_nothing() -> None:
    """What fills up an optimiser step on a rank that has no row left for it."""
    import torch

    from safetax.training.loss import use_chunked_loss

    model = tiny_model("qwen2", VOCABULARY)
    use_chunked_loss(model, 4)
    nothing = torch.tensor([[3]])
    loss = model(
        input_ids=nothing, attention_mask=torch.ones_like(nothing), labels=nothing - 103, num_items_in_batch=7
    ).loss
    loss.backward()
    assert loss.item() == 0
    assert all(value.grad is None or value.grad.abs().max() == 0 for value in model.parameters())


def test_no_tensor_is_as_large_as_all_logits() -> None:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from safetax.training.loss import use_chunked_loss

    class Largest(TorchDispatchMode):
        numel = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = function(*args, **(kwargs or {}))
            for value in out if isinstance(out, list | tuple) else [out]:
                if isinstance(value, torch.Tensor):
                    self.numel = max(self.numel, value.numel())
            return out

    def largest(chunk: int | None) -> int:
        model = tiny_model("llama", 5000, hidden_size=4, num_attention_heads=1, head_dim=4, intermediate_size=8)
        if chunk:
            use_chunked_loss(model, chunk)
        ids = torch.randint(0, 5000, (1, 100))
        with Largest() as seen:
            model(input_ids=ids, labels=ids).loss.backward()
        return seen.numel

    assert largest(None) >= 99 * 5000
    assert largest(2) <= 5000 * 4  # the weights themselves, or two tokens' logits


def test_without_labels_there_are_logits_as_before() -> None:
    import torch

    from safetax.training.loss import use_chunked_loss

    model = tiny_model("qwen2", VOCABULARY).eval()
    ids = batch()["input_ids"]
    before = model(input_ids=ids).logits
    use_chunked_loss(model, 4)
    assert torch.equal(model(input_ids=ids).logits, before)


def test_gradients_are_handed_out_once() -> None:
    from safetax.training.loss import use_chunked_loss

    model = tiny_model("qwen2", VOCABULARY)
    use_chunked_loss(model, 4)
    loss = model(**batch()).loss
    loss.backward(retain_graph=True)
    with pytest.raises(AssertionError, match="handed out before"):
        loss.backward()


def test_a_model_that_does_more_to_its_logits_is_refused() -> None:
    from safetax.training.loss import use_chunked_loss

    model = tiny_model("gemma2", VOCABULARY, final_logit_softcapping=30.0)
    with pytest.raises(
        UserError, match=r"runtime\.loss_chunk=8.*final_logit_softcapping=30.*set runtime\.loss_chunk=null"
    ):
        use_chunked_loss(model, 8)


@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize("packed", [False, True])
def test_a_mean_over_rows_counts_each_row_alike(chunk: int | None, packed: bool) -> None:
    """Two micro batches of a global batch, against the mean of the rows' own losses by transformers."""
    import torch

    from safetax.data.chat import TrainingRow
    from safetax.training.batches import Collator
    from safetax.training.loss import use_chunked_loss
    from safetax.training.packing import use_packing

    generator = torch.Generator().manual_seed(0)
    rows = [
        TrainingRow(torch.randint(1, VOCABULARY, (length,), generator=generator).tolist(), start)
        for length, start in ((20, 1), (6, 4), (9, 2), (1, 1), (5, 4))
    ]
    whole = tiny_model("qwen2", VOCABULARY).train()
    lean = copy.deepcopy(whole)
    supervised = [row for row in rows if row.completion_start < len(row.tokens)]
    losses = [whole(**Collator(0)([row])).loss for row in supervised]
    expected = torch.stack(losses).mean()
    expected.backward()
    use_chunked_loss(lean, chunk)
    if packed:
        use_packing(lean)
    make = Collator(0, packed=packed, by_row=True)
    found = 0.0
    for share in (rows[:2], rows[2:]):
        loss = lean(**make(share), num_items_in_batch=torch.tensor(float(len(supervised)))).loss
        loss.backward()
        found += loss.item()
    assert found == pytest.approx(expected.item(), rel=1e-5)
    over_tokens = sum(
        loss.item() * (len(row.tokens) - row.completion_start) for loss, row in zip(losses, supervised, strict=True)
    )
    over_tokens /= sum(len(row.tokens) - row.completion_start for row in supervised)
    assert over_tokens != pytest.approx(found, rel=1e-3)
    for (name, own), (_, slope) in zip(lean.named_parameters(), whole.named_parameters(), strict=True):
        torch.testing.assert_close(own.grad, slope.grad, rtol=1e-3, atol=1e-6, msg=name)
