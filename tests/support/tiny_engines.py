"""A tiny model with random weights that engines answer with, and prompts for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetax.evaluation.engines import Generated, Markers, Prompt, Source
from safetax.evaluation.engines.hf import HfEngine
from safetax.evaluation.engines.openai import Config as OpenAIConfig
from safetax.evaluation.engines.openai import OpenAIEngine
from safetax.evaluation.engines.openai import start as start_client
from tests.support.tokenizers_like import deepseek_like

RUNTIME = {"generate_batch": 8, "engine_memory": 0.5, "gpus": None, "tensor_parallel": None}


TEXTS = (
    "Two and two are four.",
    "The mill stands by the river.",
    "A lamp, a rope and a map!",
    "Seven times six is 42.",
)


def build_model(directory: Path) -> tuple[Any, Any]:
    """Save a tiny Qwen2 with random weights, wild enough to write ever other tokens; return it and its tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = deepseek_like()
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        initializer_range=0.6,
        tie_word_embeddings=False,
        eos_token_id=tokenizer.convert_tokens_to_ids(str(tokenizer.eos_token)),
    )
    model = Qwen2ForCausalLM(config).eval()
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    set_defaults(directory, top_k=1)  # which would make greedy whatever is sampled
    return model, tokenizer


def set_defaults(directory: Path, **values: Any) -> None:
    """Write settings for generation into a saved model, as many published models have them."""
    path = directory / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def markers(tokenizer: Any) -> Markers:
    return Markers("</think>", "</think>", "\n</think>\n\n", (tokenizer.eos_token_id,))


def asked(tokenizer: Any, count: int = 20, temperature: float = 0.0, **values: Any) -> list[Prompt]:
    """Return prompts of several lengths; every third has no thinking."""
    prompts = []
    for index in range(count):
        text = f"{index}. {TEXTS[index % len(TEXTS)]} {TEXTS[index % 3]}"[: 12 + 3 * (index % 11)]
        tokens = [tokenizer.bos_token_id, *tokenizer.encode(text, add_special_tokens=False)]
        thinking = None if index % 3 == 2 else 40
        prompts.append(
            Prompt(tokens, thinking, 20, temperature, 1.0, 1000 + index, **{"name": f"prompt-{index}", **values})
        )
    return prompts


def written_text(tokenizer: Any, responses: dict[int, Generated], skip: str = "") -> str:
    """Return two characters, of more than one token, that about half of the texts have somewhere."""
    texts = [(response.thinking or "") + response.answer for response in responses.values()]
    pairs = {text[at : at + 2] for text in texts for at in range(8, len(text) - 1)}
    plain = [
        pair
        for pair in sorted(pairs)
        if pair.isascii()
        and pair.isprintable()
        and not set(pair) & set(skip)
        and len(tokenizer.encode(pair, add_special_tokens=False)) > 1
    ]
    return min(plain, key=lambda pair: abs(sum(pair in text for text in texts) - len(texts) / 2))


def by_hf(tiny: tuple[Path, Any, Any], prompts: list[Prompt], around: Markers) -> dict[int, Generated]:
    _, model, tokenizer = tiny
    return dict(HfEngine(model, tokenizer, 8).respond(prompts, around))


def several_tokens(tiny: tuple[Path, Any, Any]) -> Markers:
    """Return markers of more than one token that the model does write."""
    tokenizer = tiny[2]
    plain = by_hf(tiny, asked(tokenizer), markers(tokenizer))
    stop = written_text(tokenizer, plain)
    end = written_text(tokenizer, plain, skip=stop)
    return Markers(stop, stop + "<think>", "\n" + stop, (tokenizer.eos_token_id,), (end,))


def loaded_from(folder: Path, tokenizer: Any) -> Source:
    return Source({"model": {"start": "pretrained", "id": str(folder), "revision": None}}, {}, tokenizer)


def served(tiny: tuple[Path, Any, Any], runtime: dict[str, Any], **config: Any) -> OpenAIEngine:
    source = Source({"model": {"id": str(tiny[0]), "revision": None}}, {}, tiny[2])
    return start_client(OpenAIConfig("openai", **{"endpoint": "tiny", "model": "tiny", **config}), source, runtime)


Tiny = tuple[Path, Any, Any]
"""Folder of the model, the model, its tokenizer."""
