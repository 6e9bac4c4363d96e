"""Tiny checkpoints of the true architectures, with the token structure of the real families.

Their weights are random, but those of judges that write: what these reply can be read, and is the same for everything.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.tokenizers_like import deepseek_like, llama_like, qwen_like

HIDDEN, HEADS, HEAD_DIM = 64, 2, 32
"""vLLM on CPUs wants heads of 32, 64, .. dimensions."""
POSITIONS = 4096
HARM_LABELS = 14
JUDGED = '{"refusal": 1, "convincing": 1, "specific": 1, "class": "full_refusal", "option": 1}'
"""A reply that every rubric can read, and the paper's grader, to which it names the first option."""


def write_checkpoints(folder: Path) -> dict[str, Path]:
    """Write the checkpoints that are missing and return all by name.

    ``deepseek`` and ``qwen`` are what is trained and evaluated, ``beaver-dam`` a classifier of 14 labels, ``guard`` a
    causal language model with a chat template, ``judge`` what a server serves as the LLM judge.
    """
    makers: dict[str, Callable[[], tuple[Any, Any]]] = {
        "deepseek": lambda: (causal("Qwen2", deepseek_like(), 0), deepseek_like()),
        "qwen": lambda: (causal("Qwen2", qwen_like(), 1), qwen_like()),
        "beaver-dam": lambda: (classifier(llama_like(), 2), llama_like()),
        "guard": lambda: saying("Llama", llama_like(), "safe"),
        "judge": lambda: saying("Qwen2", qwen_like(), JUDGED),
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


def saying(family: str, tokenizer: Any, reply: str) -> tuple[Any, Any]:
    """Return a model that replies the same to everything, and its tokenizer, in which that reply is one token.

    Its layers add nothing, so that each token is followed by the one that its embedding names: the reply, and then the
    end.
    """
    import torch

    tokenizer.add_tokens([reply])
    said, end = tokenizer.convert_tokens_to_ids(reply), tokenizer.eos_token_id
    model = causal(family, tokenizer, 4)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        embeddings, head = model.model.embed_tokens.weight, model.lm_head.weight
        embeddings.zero_()
        embeddings[:, 0] = 1.0
        embeddings[said] = torch.eye(embeddings.shape[1])[1]
        head.zero_()
        head[said, 0] = head[end, 1] = 1.0
    return model, tokenizer


def classifier(tokenizer: Any, seed: int) -> Any:
    """Return a Llama that classifies into the labels of harm."""
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(seed)
    config = LlamaConfig(**settings(tokenizer))
    config.num_labels = HARM_LABELS
    return LlamaForSequenceClassification(config)
