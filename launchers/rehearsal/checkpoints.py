"""Tiny checkpoints of the true architectures, with random weights and the token structure of the real families."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.tokenizers_like import deepseek_like, llama_like, qwen_like

HIDDEN, HEADS, HEAD_DIM = 64, 2, 32
"""vLLM on CPUs wants heads of 32, 64, .. dimensions."""
POSITIONS = 4096
HARM_LABELS = 14


def write_checkpoints(folder: Path) -> dict[str, Path]:
    """Write the checkpoints that are missing and return all by name.

    ``deepseek`` and ``qwen`` are what is trained and evaluated, ``beaver-dam`` a classifier of 14 labels, ``guard`` a
    causal language model with a chat template, ``judge`` what a server serves as the LLM judge.
    """
    makers: dict[str, Callable[[], tuple[Any, Any]]] = {
        "deepseek": lambda: (causal("Qwen2", deepseek_like(), 0), deepseek_like()),
        "qwen": lambda: (causal("Qwen2", qwen_like(), 1), qwen_like()),
        "beaver-dam": lambda: (classifier(llama_like(), 2), llama_like()),
        "guard": lambda: (causal("Llama", llama_like(), 3), llama_like()),
        "judge": lambda: (causal("Qwen2", qwen_like(), 4), qwen_like()),
    }
    paths = {}
    for name, make in makers.items():
        paths[name] = folder / name
        if not (paths[name] / "config.json").is_file():
            model, tokenizer = make()
            tokenizer.save_pretrained(paths[name])
            model.save_pretrained(paths[name])
    return paths


def settings(tokenizer: Any) -> dict[str, Any]:
    """Return the sizes that all checkpoints share."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": HEAD_DIM,
        "max_position_embeddings": POSITIONS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def causal(family: str, tokenizer: Any, seed: int) -> Any:
    """Return a causal language model of a family of transformers, such as ``Qwen2``."""
    import torch
    import transformers

    torch.manual_seed(seed)
    config = getattr(transformers, f"{family}Config")(**settings(tokenizer))
    return getattr(transformers, f"{family}ForCausalLM")(config)


def classifier(tokenizer: Any, seed: int) -> Any:
    """Return a Llama that classifies into the labels of harm."""
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(seed)
    config = LlamaConfig(**settings(tokenizer))
    config.num_labels = HARM_LABELS
    return LlamaForSequenceClassification(config)
