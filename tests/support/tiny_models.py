"""Models of true architectures with random weights, and training steps of them that take seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetax.config.identity import identity
from safetax.config.schema import Format
from safetax.config.training import Training
from safetax.data.chat import ChatRenderer
from safetax.records import Example, write_records
from safetax.store.status import Store
from safetax.store.step import Step
from tests.support.tiny_steps import put_manifest

THINK = Format("tags", "<think>", "</think>")
RUNTIME = {
    "devices": 1,
    "zero": 0,
    "nodes": 1,
    "rendezvous": None,
    "micro_batch": None,
    "gradient_checkpointing": False,
    "offload": "none",
    "loss_chunk": None,
    "checkpoint_minutes": 10.0,
    "gpu_tflops": 989.0,
    "threads": 1,
}


def tiny_config(model_type: str, vocabulary: int, **values: Any) -> Any:
    """A decoder of two layers with heads of size 32, as vLLM wants them."""
    from transformers import AutoConfig

    settings: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "max_position_embeddings": 256,
        "initializer_range": 0.1,
        "tie_word_embeddings": False,
    }
    return AutoConfig.for_model(model_type, vocab_size=vocabulary, **(settings | values))


def tiny_model(model_type: str, vocabulary: int = 97, seed: int = 0, **values: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(tiny_config(model_type, vocabulary, **values), dtype=torch.float32)


def save_tiny(folder: Path, model_type: str, **values: Any) -> Path:
    """Put a model on disk with the lab's tokenizer, as a checkpoint of the hub would be."""
    from safetax.data.lab.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    model = tiny_model(model_type, len(tokenizer), eos_token_id=tokenizer.eos_token_id, bos_token_id=None, **values)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def chats(count: int) -> list[Example]:
    """Rows of different lengths in words that the lab's tokenizer knows."""
    answers = ["i can not help with that .", "i can not help .", "i should not help with that . i can not .", "i can ."]
    return [
        Example(f"r{index}", [{"role": "user", "content": "how do i"}], "i should", answers[index % len(answers)])
        for index in range(count)
    ]


def plain_sums(model: Any, renderer: ChatRenderer, example: Example) -> dict[str, tuple[int, float]]:
    """Tokens and negative log-likelihoods of a row's parts, from the logits of the whole row."""
    import torch

    row = renderer.row(example)
    parts = renderer.parts(example, row)
    with torch.no_grad():
        logits = model(torch.tensor([row.tokens])).logits[0].double()
    nll = -logits.log_softmax(-1)[:-1].gather(1, torch.tensor(row.tokens[1:]).unsqueeze(1)).squeeze(1)
    found = {}
    for name in ("all", "thinking", "answer"):
        places = [
            place for place in range(row.completion_start, len(row.tokens)) if name == "all" or parts[place] == name
        ]
        found[name] = (len(places), sum(nll[place - 1].item() for place in places))
    return found


def training_step(
    outputs: Path, model: Path, rows: list[Example], runtime: dict[str, Any] | None = None, **training: Any
) -> Path:
    """Freeze a training of a model on rows; returns the step's folder."""
    store = Store(outputs)
    data = Step("prepare", "rows", {"dataset": {"ids": [row.id for row in rows]}})
    write_records(store.freeze(data) / "examples.jsonl", rows)
    put_manifest(store, data)
    on_bad_row = training.pop("on_bad_row", None)
    settings: dict[str, Any] = {"epochs": 2, "learning_rate": 1e-2, "global_batch": 4, "max_tokens": 64, **training}
    start = {"start": "pretrained", "id": str(model), "revision": None, "tokenizer": "own"}
    values = {
        "training": identity(Training(**settings)),
        "format": identity(THINK),
        "seed": 0,
        "model": start,
        **({"on_bad_row": on_bad_row} if on_bad_row else {}),
    }
    return store.freeze(Step("train", "tiny training", values, {"data": data}, RUNTIME | (runtime or {})))
