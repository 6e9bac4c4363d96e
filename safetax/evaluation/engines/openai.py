"""Generation by a model that is served elsewhere, behind OpenAI's interface for completions.

The server must serve the very checkpoint that the step asks for; prompts are rendered here, by the one renderer. vLLM's
servers take and give tokens, so that they answer as the vllm engine does. Others get and give texts: what they wrote is
encoded anew, and an end of the text inside the thinking counts as the end of the thinking, since they do not say which
it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from safetax.config.needs import Library, Needs
from safetax.errors import UserError
from safetax.evaluation.concurrency import as_they_finish
from safetax.evaluation.engines import ALONE, Generated, Markers, Prompt, PromptSharing, Source
from safetax.evaluation.engines._two_phase import CompletionRequest, TwoPhaseResponse
from safetax.evaluation.llm.client import Client, connect
from safetax.evaluation.llm.replies import Reply
from safetax.formatting import visible

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

        def respond(index: int) -> Generated | str | None:
            return self._respond(index, TwoPhaseResponse(prompts[index], markers, self.tokenizer), sharing)

        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index].tokens), reverse=True)
        for index, result in as_they_finish(respond, order, self.client.requests, "response"):
            if isinstance(result, Generated):
                yield index, result
            elif result is not None:
                failed.append((index, result))
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
            if any(token >= len(self.tokenizer) for token in reply.tokens or ()):
                return "the reply has tokens that the model's tokenizer does not know"
            try:
                self._feed(response, response.request, reply)
            except Exception as error:  # a tokenizer's own, which may quote the reply
                return f"the reply cannot be tokenised ({type(error).__name__})"
        made = response.result
        assert made is not None
        leak = self.client.leak((made.thinking or "") + made.answer)
        if leak is not None:
            return leak
        return replace(made, thinking=made.thinking and visible(made.thinking), answer=visible(made.answer))

    def _sent(self, response: TwoPhaseResponse, request: CompletionRequest) -> dict[str, Any]:
        if self.config.server == "other":
            ends = [
                *([request.marker] if request.marker else []),
                *response.markers.end_texts,
                *(response.decode([token]) for token in response.markers.end_tokens),
            ]
            return {
                **request.sampling,
                "prompt": self._prompt_text(response, request),
                "stop": list(dict.fromkeys(ends)),
            }
        tokens, texts = response.endings()
        return {
            **request.sampling,
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

    def _feed(self, response: TwoPhaseResponse, request: CompletionRequest, reply: Reply) -> None:
        """Give a response the completion that the server replied with."""
        tokens = response.encode(reply.text or "") if reply.tokens is None else reply.tokens
        at_limit = reply.finish_reason == "length"
        if at_limit or self.config.server == "vllm":
            response.feed_stopped(tokens[: request.limit] if at_limit else tokens, at_limit, reply.stop_reason)
        else:
            ended = request.marker is None or reply.stop_reason in response.markers.end_texts
            response.feed(tokens, "end" if ended else "marker")
