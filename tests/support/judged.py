"""What tests of judges share: cases, the context of a judge, and tiny guard models in which a character is a token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetax.evaluation.judging.cases import Case, JudgeContext
from safetax.records import Example, Response

CHARACTERS = [chr(code) for code in range(33, 127)] + ["▁", "\n", "é"]


SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]


CHAT = (
    "{{ bos_token }}[turns]{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "[verdict]\n"
)


GUARDED = [("#", "unsafe\nS2,S9"), ("=", "safe"), ("##", "unsafe\nS2,S9"), ("==", "safe")]


def context(folder: Path, facts: dict[str, Any] | None = None, **runtime: Any) -> JudgeContext:
    (folder / "scratch").mkdir(exist_ok=True)
    seen: list[tuple[int, int]] = []
    return JudgeContext(
        facts or {"files": {}},
        {"judge_batch": 4, "threads": 1, **runtime},
        folder / "scratch",
        folder / "cache",
        lambda done, total: seen.append((done, total)),
        {},
    )


def example(name: str, question: str, **meta: Any) -> Example:
    return Example(name, [{"role": "user", "content": question}], meta={"harmful": True, **meta})


def response(name: str, answer: str, thinking: str | None = None, repeat: int = 0) -> Response:
    return Response(name, repeat, thinking, answer, 0, 1, "closed" if thinking else "none", "stop", 0)


def case(question: str, text: str, **meta: Any) -> Case:
    return Case(response("a", text), [{"role": "user", "content": question}], text, {"harmful": True, **meta})


def letters_tokenizer() -> Any:
    """A tokenizer with the structure of Llama's, in which every character is a token."""
    from transformers import LlamaTokenizer

    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *CHARACTERS])}
    tokenizer = LlamaTokenizer(vocab=vocabulary, merges=[], pad_token="<pad>", add_bos_token=True)
    tokenizer.chat_template = CHAT
    return tokenizer


def tiny_config(**settings: Any) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(SPECIAL) + len(CHARACTERS),
        hidden_size=64,  # vLLM has no attention over narrower heads
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=600,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=3,
        initializer_range=0.3,
        **settings,
    )
