"""Generation by a model that is served elsewhere, behind OpenAI's interface for completions.

The server must serve the very checkpoint that the step asks for; prompts are rendered here, by the one renderer. vLLM's
servers take and give tokens, so that they answer as the vllm engine does. Others get and give texts: what they wrote is
encoded anew, and an end of the text inside the thinking counts as the end of the thinking, since they do not say which
it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Literal

from safetax.config.needs import Library, Needs
from safetax.errors import UserError
from safetax.evaluation.engines import ALONE, Generated, Markers, Prompt, PromptSharing, Source
from safetax.evaluation.engines._two_phase import CompletionRequest, Finish, TwoPhaseResponse
from safetax.evaluation.llm.client import Client, connect
from safetax.evaluation.llm.replies import Reply

NEUTRAL = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
"""What vLLM's servers would else take from the served model's own settings; with these values it does nothing."""


@dataclass(frozen=True)
class Config:
    """Where the model is served, and under which name."""

    kind: str
    endpoint: str = "default"
    """Name of a server in ``runtime.endpoints``."""
    model: str | None = None
    """Name of the model on the server; null: the checkpoint's id or folder, as ``vllm serve`` names it."""
    server: Literal["vllm", "other"] = "vllm"
    """What the server is: only vLLM's take tokens and say what a completion ended at."""


def needs(config: Config) -> Needs:
    """Return the server that is asked."""
    return Needs(libraries=(Library("openai"),), server=config.endpoint)


def start(config: Config, source: Source, runtime: Mapping[str, Any]) -> OpenAIEngine:
    """Return an engine that asks a server.

    Raises:
        UserError: there is no such endpoint, its address is none, or its key is not set.
    """
    from safetax.models.checkpoint import source_of

    model = config.model or source_of(source.identity, source.inputs)[0]
    client = connect(runtime, config.endpoint, model, None)
    return OpenAIEngine(config, client, source.tokenizer)


class OpenAIEngine:
    """Asks a server for the completions of many responses at a time."""

    def __init__(self, config: Config, client: Client, tokenizer: Any) -> None:
        self.config = config
        self.client = client
        self.tokenizer = tokenizer
        self.facts: dict[str, Any] = {"library": "openai", "server": config.server}

    def close(self) -> None:
        """Close the connections to the server."""
        self.client.close()

    def respond(
        self, prompts: Sequence[Prompt], markers: Markers, sharing: PromptSharing = ALONE
    ) -> Iterator[tuple[int, Generated]]:
        """Yield the index of each prompt that is this engine's with its response, as they finish.

        Raises:
            UserError: the server refused requests or could not be reached; raised when the others are done.
        """
        failed: list[tuple[int, str]] = []
        pool = ThreadPoolExecutor(self.client.requests, thread_name_prefix="response")
        try:
            order = sorted(range(len(prompts)), key=lambda index: len(prompts[index].tokens), reverse=True)
            under_way: dict[Future[Generated | str | None], int] = {
                pool.submit(
                    self._respond, index, TwoPhaseResponse(prompts[index], markers, self.tokenizer), sharing
                ): index
                for index in order
            }
            for future in as_completed(under_way):
                index, result = under_way[future], future.result()
                if isinstance(result, Generated):
                    yield index, result
                elif result is not None:
                    failed.append((index, result))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        if failed:
            index, error = min(failed)
            raise UserError(
                f"{self.client.path}: {len(failed)} of {len(prompts)} prompts got no response, the first of them "
                f"{prompts[index].name or index} ({error}); run the same command again to ask for these alone."
            )

    def _respond(self, index: int, response: TwoPhaseResponse, sharing: PromptSharing) -> Generated | str | None:
        """Return what a prompt was answered, or what went wrong; None where another node has it."""
        if not sharing.claim(index):
            return None
        while response.request is not None:
            ((_, reply),) = self.client.complete([self._sent(response, response.request)])
            if reply.text is None:
                return reply.error or "no text"
            response.feed(*self._read(response, response.request, reply))
        assert response.result is not None
        return response.result

    def _sent(self, response: TwoPhaseResponse, request: CompletionRequest) -> dict[str, Any]:
        tokens, texts = list(response.markers.end_tokens), list(response.markers.end_texts)
        common = {
            "max_tokens": request.limit,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed if request.temperature > 0 else None,
        }
        if self.config.server == "other":
            ends = [
                *([request.marker] if request.marker else []),
                *texts,
                *(response.decode([token]) for token in tokens),
            ]
            return {**common, "prompt": self._prompt_text(response, request), "stop": list(dict.fromkeys(ends))}
        if request.marker is not None:
            marker = response.encode(request.marker)
            tokens += marker if len(marker) == 1 else []
            texts += [] if len(marker) == 1 else [request.marker]
        return {
            **common,
            **NEUTRAL,
            "prompt": request.tokens,
            "stop": texts,
            "stop_token_ids": tokens,
            "ignore_eos": True,
            "include_stop_str_in_output": True,
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
            "return_token_ids": True,
        }

    def _prompt_text(self, response: TwoPhaseResponse, request: CompletionRequest) -> str:
        """Return the text of a prompt, without the beginning of the text where its tokenizer puts that itself."""
        text, begin = response.decode(request.tokens), self.tokenizer.bos_token
        if begin and text.startswith(begin) and self.tokenizer.encode("a")[0] == self.tokenizer.bos_token_id:
            return text.removeprefix(begin)
        return text

    def _read(self, response: TwoPhaseResponse, request: CompletionRequest, reply: Reply) -> tuple[list[int], Finish]:
        """Return the tokens of a completion, without an end token, and why it ended."""
        tokens = response.encode(reply.text or "") if reply.tokens is None else reply.tokens
        if reply.finish_reason == "length":
            return tokens[: request.limit], "length"
        if self.config.server == "other":
            return (
                tokens,
                "end" if request.marker is None or reply.stop_reason in response.markers.end_texts else "marker",
            )
        if reply.stop_reason in {str(token) for token in response.markers.end_tokens}:
            return tokens[:-1], "end"
        return tokens, "end" if reply.stop_reason in response.markers.end_texts else "marker"
