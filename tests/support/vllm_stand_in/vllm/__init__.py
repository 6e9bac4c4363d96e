"""A stand-in for vLLM where it is not installed: it goes on with the prompt's own tokens, the last one first."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from vllm.sampling_params import SamplingParams

__all__ = ["EngineArgs", "LLMEngine", "SamplingParams"]


class EngineArgs:
    def __init__(self, **settings: Any) -> None:
        self.settings = settings


class LLMEngine:
    def __init__(self) -> None:
        self.waiting: list[tuple[str, list[int], SamplingParams]] = []
        self.engine_core = SimpleNamespace(shutdown=lambda: None)

    @classmethod
    def from_engine_args(cls, args: EngineArgs) -> LLMEngine:
        if args.settings["model"] == "broken":
            raise RuntimeError("KV cache is needed, and there is none")
        return cls()

    def add_request(self, name: str, prompt: dict[str, list[int]], sampling: SamplingParams) -> None:
        if not prompt["prompt_token_ids"]:
            raise ValueError("an empty prompt")
        self.waiting.append((name, prompt["prompt_token_ids"], sampling))

    def has_unfinished_requests(self) -> bool:
        return bool(self.waiting)

    def step(self) -> list[Any]:
        name, prompt, sampling = self.waiting.pop()
        tokens, reason = prompt[::-1][: sampling.max_tokens], None
        for place, token in enumerate(tokens):
            if token in sampling.stop_token_ids:
                tokens, reason = tokens[: place + 1], token
                break
        finish = "length" if reason is None else "stop"
        done = SimpleNamespace(token_ids=tokens, finish_reason=finish, stop_reason=reason)
        return [SimpleNamespace(finished=True, request_id=name, outputs=[done])]
