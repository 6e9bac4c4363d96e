"""Packed rows are trained on as padded ones are, and never see each other."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from safetax.data.chat import TrainingRow
from tests.support.tiny_models import tiny_config, tiny_model

ROWS = [TrainingRow(list(range(5, 5 + length)), start) for length, start in ((9, 3), (4, 1), (17, 8), (1, 1), (12, 2))]
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
VALUES: dict[str, dict[str, Any]] = {"qwen3_moe": EXPERTS, "mistral": {"sliding_window": None}}


def batches(objective: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows padded, and packed."""
    from safetax.training.batches import Collator

    padded, packed = (Collator(0, objective, packed=packed)(ROWS) for packed in (False, True))
    return padded, packed


def model_types() -> list[str]:
    from safetax.training.packing import MODEL_TYPES

    return sorted(MODEL_TYPES)


@pytest.mark.parametrize("model_type", model_types())
@pytest.mark.parametrize("checkpointing", [False, True])
def test_loss_and_gradients_are_those_of_the_padded_batch(model_type: str, checkpointing: bool) -> None:
    import torch

    from safetax.training.packing import can_pack, use_packing

    padded_model = tiny_model(model_type, **VALUES.get(model_type, {})).train()
    packed_model = copy.deepcopy(padded_model)
    assert can_pack(packed_model.config)
    use_packing(packed_model)
    for model in (padded_model, packed_model) if checkpointing else ():
        model.gradient_checkpointing_enable()
    found = []
    for model, batch in zip((padded_model, packed_model), batches(), strict=True):
        loss = model(**batch, use_cache=False).loss
        loss.backward()
        found.append((loss.detach(), {name: value.grad for name, value in model.named_parameters()}))
    (expected, slopes), (loss, own) = found
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    assert any(slope.abs().max() > 1e-3 for slope in slopes.values())
    torch.testing.assert_close(own, slopes, rtol=1e-3, atol=1e-5)


def test_a_row_never_sees_another() -> None:
    import torch

    from safetax.training.batches import Collator
    from safetax.training.packing import use_packing

    model = tiny_model("qwen3").eval()
    use_packing(model)
    first, second, other = ROWS[2], ROWS[0], TrainingRow([60, 61, 62], 1)
    made = Collator(0, packed=True)
    states = [
        model(**{name: value for name, value in made(rows).items() if name != "labels"}).logits[0, : len(second.tokens)]
        for rows in ([second, first], [second, other])
    ]
    assert torch.equal(states[0], states[1])
    apart = model(**{name: value for name, value in made([second]).items() if name != "labels"}).logits[0]
    torch.testing.assert_close(states[0], apart, rtol=1e-4, atol=1e-5)


def test_batches_hold_the_same_tokens() -> None:
    from safetax.training.batches import IGNORED, objective_mask

    padded, packed = batches(objective=True)
    real = padded["attention_mask"].bool()
    assert packed["row_lengths"] == [9, 4, 17, 1, 12] and packed["input_ids"].shape == (1, 43)
    for name in ("input_ids", "labels", "in_objective"):
        assert packed[name][0].tolist() == padded[name][real].tolist()
    assert packed["position_ids"][0].tolist() == [place for row in ROWS for place in range(len(row.tokens))]
    supervised = sum(len(row.tokens) - row.completion_start for row in ROWS)
    for batch in (padded, packed):  # what a row predicts is its own: no row's first token carries loss
        assert int((batch["labels"][:, 1:] != IGNORED).sum()) == supervised
        assert int(objective_mask(batch).sum()) == 0


@pytest.mark.parametrize(
    ("model_type", "values"),
    [
        ("mistral", {"sliding_window": 8}),
        ("qwen3", {"layer_types": ["full_attention", "sliding_attention"], "use_sliding_window": True}),
        ("gemma2", {}),
        ("gpt2", {}),
        ("mamba", {}),
    ],
)
def test_models_with_other_ways_between_tokens_are_padded(model_type: str, values: dict[str, Any]) -> None:
    from safetax.training.packing import can_pack

    assert not can_pack(tiny_config(model_type, 97, **values))
