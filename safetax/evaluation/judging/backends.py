"""What generates the replies of a guard model: transformers, or vLLM in replicas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from safetax.evaluation.judging.models import JudgeModel, JudgeModelConfig, load_tokenizer, padded, source_of
from safetax.models.checkpoint import ends_of, generation_ends

BackendName = Literal["transformers", "vllm"]


class GuardBackend(Protocol):
    """A loaded guard model."""

    tokenizer: Any
    context: int | None
    """Longest sequence in tokens, where the model says it."""

    def replies(self, rows: Sequence[Sequence[int]], limit: int) -> Iterator[tuple[int, str]]:
        """Yield the index of each prompt's token ids with the greedy reply of at most ``limit`` tokens."""
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...


def start_backend(
    engine: BackendName, model: JudgeModelConfig, facts: Mapping[str, Any], runtime: Mapping[str, Any]
) -> GuardBackend:
    """Return the model, ready to reply.

    Raises:
        UserError: it cannot be loaded; vLLM is not installed, or has too little memory.
    """
    return (_Vllm if engine == "vllm" else _Transformers)(model, facts, runtime)


class _Transformers:
    """Batches of like length, on a copy of the model for each GPU."""

    def __init__(self, model: JudgeModelConfig, facts: Mapping[str, Any], runtime: Mapping[str, Any]) -> None:
        from transformers import GenerationConfig

        self.model = JudgeModel(model, "AutoModelForCausalLM", facts, runtime)
        self.tokenizer = self.model.tokenizer
        self.context = self.model.context
        self.ends = _ends(ends_of(self.model.copies[0].generation_config), self.tokenizer)
        for copy in self.model.copies:
            # What a request leaves open would come from the model's own settings, a repetition penalty above all.
            copy.generation_config = GenerationConfig()

    def replies(self, rows: Sequence[Sequence[int]], limit: int) -> Iterator[tuple[int, str]]:
        def ask(copy: Any, batch: list[int]) -> list[str]:
            return _generated(copy, self.tokenizer, [rows[index] for index in batch], limit, self.ends)

        return self.model.run([len(row) for row in rows], None, ask)

    def close(self) -> None:
        self.model.copies.clear()


def _generated(model: Any, tokenizer: Any, rows: Sequence[Sequence[int]], limit: int, ends: list[int]) -> list[str]:
    """Return the greedy replies to a batch, special tokens left out."""
    from transformers import GenerationConfig

    pad = ends[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    ids, mask = padded(rows, pad, "left", model.device)
    settings = GenerationConfig(do_sample=False, max_new_tokens=limit, eos_token_id=ends, pad_token_id=pad)
    output = model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)
    return tokenizer.batch_decode(output[:, ids.shape[1] :].tolist(), skip_special_tokens=True)


class _Vllm:
    """Replicas of vLLM on as few GPUs each as the guard's own weights need."""

    def __init__(self, model: JudgeModelConfig, facts: Mapping[str, Any], runtime: Mapping[str, Any]) -> None:
        from safetax.evaluation.engines import Markers, Source, vllm

        self.tokenizer = load_tokenizer(model, facts)
        source, revision = source_of(model, facts)
        self.markers = Markers("", "", "", tuple(_ends(generation_ends(source, revision), self.tokenizer)))
        origin = Source({"model": {"id": source, "revision": revision}}, {}, self.tokenizer)
        # How many GPUs hold a copy of the judged model says nothing about the guard.
        self.engine = vllm.start(vllm.Config("vllm", model.dtype), origin, {**runtime, "tensor_parallel": None})
        self.context = self.engine.size.context

    def replies(self, rows: Sequence[Sequence[int]], limit: int) -> Iterator[tuple[int, str]]:
        from safetax.evaluation.engines import Prompt

        prompts = [Prompt(list(row), None, limit, 0.0, 1.0, 0, name=f"text {n}") for n, row in enumerate(rows)]
        for index, generated in self.engine.respond(prompts, self.markers):
            yield index, generated.answer

    def close(self) -> None:
        self.engine.close()


def _ends(own: list[int], tokenizer: Any) -> list[int]:
    """Return the tokens that end a reply, as the model's own settings or else its tokenizer say."""
    return own or [tokenizer.eos_token_id or 0]
