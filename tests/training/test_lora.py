"""Adapters: what is trained, what they are merge_adapters to, and what is refused."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from safetax.config.training import Lora
from safetax.errors import UserError
from tests.support.tiny_models import chats, save_tiny, tiny_model, training_step
from tests.support.tiny_trainings import ended_behind_checkpoint, summary_of, tensors, train_in_process, weights


def test_merged_weights_are_those_that_peft_merges() -> None:
    import torch

    from safetax.training.lora import add_adapters, merge_adapters

    model = tiny_model("qwen2")
    names = {name for name, _ in model.named_parameters()}
    before = copy.deepcopy(model.state_dict())
    lora = Lora(rank=3, alpha=12.0, target_modules=["q_proj", "up_proj"])
    adapted = add_adapters(model, lora, float32=True)
    torch.manual_seed(1)
    for name, value in adapted.named_parameters():
        assert value.requires_grad == (".lora_" in name)
        if value.requires_grad:
            torch.nn.init.normal_(value, std=0.1)
    found = merge_adapters(adapted.state_dict(), lora)
    assert found.keys() == names
    ids = torch.arange(20).unsqueeze(0)
    wanted = adapted.eval()(input_ids=ids).logits
    theirs = copy.deepcopy(adapted).merge_and_unload().state_dict()
    for name, value in found.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-5, atol=1e-6)
        assert torch.equal(value, before[name]) != any(part in name for part in ("q_proj.weight", "up_proj.weight"))
    plain = adapted.unload()
    plain.load_state_dict(found)
    torch.testing.assert_close(plain(input_ids=ids).logits, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "masters"), [("float32", "float32"), ("bfloat16", "bfloat16"), ("bfloat16_mixed", "float32")]
)
def test_only_what_is_targeted_moves(tmp_path: Path, dtype: str, masters: str) -> None:
    """The checkpoint is a whole model without adapters, in the number format of the training."""
    import torch
    from transformers import AutoModelForCausalLM

    start = save_tiny(tmp_path / "start", "qwen3", tie_word_embeddings=True)
    lora = Lora(rank=4, alpha=8.0, target_modules=["up_proj"])
    runtime = {"loss_chunk": 16, "gradient_checkpointing": True, "micro_batch": 2}
    step = training_step(tmp_path / "o", start, chats(8), runtime, dtype=dtype, lora=lora)
    assert train_in_process(step) == 0
    saved = torch.float32 if dtype == "float32" else torch.bfloat16
    before, after = tensors(start), weights(step)
    assert after.keys() == before.keys()
    for name, value in after.items():
        assert value.dtype == saved
        assert torch.equal(value, before[name].to(saved)) != ("up_proj" in name), name
    model = AutoModelForCausalLM.from_pretrained(step / "model")
    assert type(model).__name__ == "Qwen3ForCausalLM" and model.dtype == saved
    summary = summary_of(step)
    assert summary["trained_parameters"] == 2 * 4 * (64 + 96)
    assert summary["parameters"] == sum(value.numel() for value in before.values())
    assert summary["dtypes"]["masters"] == summary["dtypes"]["optimizer"] == masters
    assert not list((step / "model").glob("adapter*"))


def test_unknown_target_is_named_with_those_that_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetax.training.lora import add_adapters

    for wrong, said in (["up_prj"], r"'up_prj'.*Did you mean up_proj\?"), (["lm_head"], "'lm_head'"):
        with pytest.raises(UserError, match=rf"{said}.*Allowed for this model are down_proj, gate_proj, k_proj"):
            add_adapters(tiny_model("llama"), Lora(target_modules=wrong), float32=True)
    with pytest.raises(UserError, match=r"target_modules=\[\] adapts nothing; name linear layers"):
        Lora(target_modules=[])
    start = save_tiny(tmp_path / "start", "llama")
    step = training_step(tmp_path / "o", start, chats(4), lora=Lora(target_modules=["wq"]))
    assert train_in_process(step) == 2
    assert "'wq' cannot have an adapter" in capsys.readouterr().err
    assert not (step / "model").exists()


@pytest.mark.slow
def test_adapters_resume_to_the_same_weights(tmp_path: Path) -> None:
    """An attempt that ends behind a checkpoint is gone on with, to the same bits."""
    import torch

    start = save_tiny(tmp_path / "start", "qwen2")
    settings = {"lora": Lora(rank=2, dropout=0.1), "epochs": 6}
    whole = training_step(tmp_path / "a", start, chats(8), {"checkpoint_minutes": 1e-9}, **settings)
    cut = training_step(tmp_path / "b", start, chats(8), {"checkpoint_minutes": 1e-9}, **settings)
    assert train_in_process(whole) == 0

    with ended_behind_checkpoint(6):
        assert train_in_process(cut) == 1
    assert list(cut.glob("scratch/checkpoint-6/complete"))
    assert train_in_process(cut) == 0
    summary = summary_of(cut)
    assert (summary["resumed_at"], summary["attempts"]) == (6, 2)
    left, right = weights(whole), weights(cut)
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert (whole / "history.jsonl").read_text() == (cut / "history.jsonl").read_text()
    assert summary["tokens"] == summary_of(whole)["tokens"]
