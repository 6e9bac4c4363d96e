"""Checkpoints: what is wrong with a saved one, and what it says of generation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safetax.errors import UserError
from tests.support.tiny_models import chats, save_tiny, training_step
from tests.support.tiny_trainings import (
    aligned_step,
    train_in_process,
    weights,
)


def test_saved_tensor_of_another_shape_is_noticed(copied_lab: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from safetax.models.checkpoint import verify_saved

    model = aligned_step(copied_lab) / "model"
    verify_saved(model)
    tensors = weights(model.parent)
    name = next(name for name in tensors if "mlp" in name)
    save_file({**tensors, name: torch.zeros(0)}, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"with shape \(0,\) instead of"):
        verify_saved(model)
    del tensors[name]
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="lacks the tensor"):
        verify_saved(model)


def test_saved_checkpoint_with_other_faults_is_noticed(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    from safetax.models.checkpoint import verify_saved
    from tests.support.tiny_models import tiny_model

    folder = tmp_path / "model"
    tiny_model("llama").save_pretrained(folder, max_shard_size="50KB")
    verify_saved(folder, "float32")
    with pytest.raises(UserError, match="as float32 instead of bfloat16"):
        verify_saved(folder, "bfloat16")
    shard = sorted(folder.glob("*.safetensors"))[1]
    good, index = load_file(shard), folder / "model.safetensors.index.json"
    name = next(iter(good))
    broken = good[name].clone()
    broken.view(-1)[3] = torch.nan
    save_file({**good, name: broken}, shard, metadata={"format": "pt"})
    with pytest.raises(UserError, match=rf"numbers in {name} that are not finite.*Lower its learning_rate"):
        verify_saved(folder)
    save_file(good, shard, metadata={"format": "pt"})
    listed = json.loads(index.read_text())
    del listed["weight_map"][name]
    index.write_text(json.dumps(listed))
    with pytest.raises(UserError, match=rf"has {name} in {shard.name}, but its index says None"):
        verify_saved(folder)
    (folder / "generation_config.json").unlink()
    with pytest.raises(UserError, match=r"lacks generation_config\.json"):
        verify_saved(folder)


def test_a_checkpoint_says_where_a_response_ends(tmp_path: Path) -> None:
    """The end of the turn joins the model's own eos; defaults that transformers would not write are mended."""
    from transformers import AutoTokenizer, GenerationConfig

    start = save_tiny(tmp_path / "start", "llama")
    settings = json.loads((start / "generation_config.json").read_text())
    settings |= {"eos_token_id": 0, "temperature": 0.6, "do_sample": False}
    (start / "generation_config.json").write_text(json.dumps(settings))
    step = training_step(tmp_path / "o", start, chats(4), epochs=1)
    assert train_in_process(step) == 0
    end = AutoTokenizer.from_pretrained(step / "model").convert_tokens_to_ids("<|im_end|>")
    saved = GenerationConfig.from_pretrained(step / "model")
    assert saved.eos_token_id == [0, end] and end != 0
    assert saved.temperature == 0.6 and saved.do_sample
