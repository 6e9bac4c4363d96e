"""How one response goes through its thinking and its answer, whatever engine completes the texts.

One completion is asked for after the other: the thinking, up to its marker or its budget; perhaps more thinking, where
an end is ignored; then the answer, behind the marker that closes the thinking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from safetax.errors import UserError
from safetax.evaluation.engines import Generated, Markers, Prompt
from safetax.records import EndOfThinking

Finish = Literal["marker", "end", "length"]
"""Why a completion ended: at the marker it was asked to stop at, at the end of the response, or at its limit."""


@dataclass(frozen=True)
class CompletionRequest:
    """A completion to be made: of these tokens, at most ``limit`` tokens, up to a marker if there is one."""

    tokens: list[int]
    limit: int
    marker: str | None
    temperature: float
    top_p: float
    seed: int

    @property
    def sampling(self) -> dict[str, Any]:
        """How it is sampled, in the words of vLLM and of OpenAI's interface."""
        return {
            "max_tokens": self.limit,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed if self.temperature > 0 else None,
        }


class TwoPhaseResponse:
    """One response in the making.

    Args:
        prompt: what is asked.
        markers: texts around thinking and answer.
        tokenizer: encodes what is put in between.
    """

    def __init__(self, prompt: Prompt, markers: Markers, tokenizer: Any) -> None:
        self.prompt = prompt
        self.markers = markers
        self.tokenizer = tokenizer
        self.thinking: list[int] = []
        self.end_of_thinking: EndOfThinking = "none"
        self.transition = ""
        self.ignores_left = prompt.ignore_end
        self.requests = 0
        self.result: Generated | None = None
        budget = prompt.thinking_budget
        self.thinks = budget is not None
        self.request: CompletionRequest | None = (
            self._next([], prompt.answer_budget, None)
            if budget is None
            else self._next([], budget, markers.stop_thinking)
        )

    def feed(self, tokens: Sequence[int], finish: Finish) -> None:
        """Take a completion in; ``request`` is the next one then, or ``result`` is there.

        Args:
            tokens: what was generated, an end token left out; markers and end texts may stand at its end.
            finish: why it ended.
        """
        assert self.request is not None
        written = list(tokens)
        if finish == "end":
            written = self._without(written, self.markers.end_texts)
        if self.request.marker is None:
            self._finish(written, finish)
        else:
            self._thought(written, finish, self.request.marker)

    def endings(self) -> tuple[list[int], list[str]]:
        """Return the tokens and the texts that end the completion that is asked for; its marker is the last of them."""
        tokens, texts = list(self.markers.end_tokens), list(self.markers.end_texts)
        marker = self.request.marker if self.request is not None else None
        if marker is not None and len(encoded := self.encode(marker)) == 1:
            tokens += encoded
        elif marker is not None:
            texts.append(marker)
        return tokens, texts

    def feed_stopped(self, tokens: Sequence[int], at_limit: bool, stopped_at: int | str | None) -> None:
        """Take a completion in as vLLM gives it.

        Args:
            tokens: what was generated, an end token included.
            at_limit: whether it was cut at its limit.
            stopped_at: the token or the text of :meth:`endings` that it ended at.
        """
        if at_limit:
            self.feed(tokens, "length")
        elif stopped_at in self.markers.end_tokens:
            self.feed(tokens[:-1], "end")
        else:
            self.feed(tokens, "end" if stopped_at in self.markers.end_texts else "marker")

    def _thought(self, written: list[int], finish: Finish, marker: str) -> None:
        prompt, markers = self.prompt, self.markers
        if finish == "marker":
            written = self._without(written, (marker,))
        self.thinking += written
        if finish != "length" and self.ignores_left > 0:
            go_on = self.encode(prompt.go_on)
            room = (prompt.thinking_budget or 0) - len(self.thinking) - len(go_on)
            if room > 0:
                self.ignores_left -= 1
                self.thinking += go_on
                self.request = self._next(self.thinking, room, marker)
                return
        if finish == "length":
            self.end_of_thinking, self.transition = "budget", markers.force_answer
            if self.transition.startswith("\n") and self.decode(self.thinking[-4:]).endswith("\n"):
                self.transition = self.transition[1:]
        else:
            self.end_of_thinking = "closed" if finish == "marker" else "end_of_text"
            self.transition = markers.resume_answer
        self.request = self._next([*self.thinking, *self.encode(self.transition)], prompt.answer_budget, None)

    def _finish(self, written: list[int], finish: Finish) -> None:
        self.request = None
        self.result = Generated(
            thinking=self.decode(self.thinking) if self.thinks else None,
            transition=self.transition,
            answer=self.decode(written),
            thinking_tokens=len(self.thinking),
            answer_tokens=len(written),
            end_of_thinking=self.end_of_thinking,
            end_of_answer="budget" if finish == "length" else "stop",
        )

    def _next(self, behind: Sequence[int], limit: int, marker: str | None) -> CompletionRequest:
        """Return the next completion to ask for, with its own seed: an answer must not repeat the thinking's draws."""
        prompt = self.prompt
        seed = (prompt.seed + self.requests) % 2**63
        self.requests += 1
        return CompletionRequest([*prompt.tokens, *behind], limit, marker, prompt.temperature, prompt.top_p, seed)

    def _without(self, tokens: list[int], endings: Sequence[str]) -> list[int]:
        """Return tokens up to the first of the endings; where one begins inside a token, that token is encoded anew."""
        for ending in endings:
            marker = self.encode(ending)
            if marker and tokens[-len(marker) :] == marker:
                return tokens[: -len(marker)]
        text = self.decode(tokens)
        starts = [text.index(ending) for ending in endings if ending in text]
        if not starts:
            return tokens
        wanted = text[: min(starts)]
        kept = len(tokens)
        while not wanted.startswith(head := self.decode(tokens[:kept])):
            kept -= 1
        return [*tokens[:kept], *self.encode(wanted[len(head) :])]

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        return self.tokenizer.encode(text, add_special_tokens=False) if text else []

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens; special tokens are kept."""
        return self.tokenizer.decode(list(tokens), skip_special_tokens=False) if tokens else ""


def longest(prompts: Sequence[Prompt], markers: Markers, tokenizer: Any, context: int | None) -> int:
    """Return the tokens of the longest sequence that the prompts may become: prompt, thinking, markers and answer.

    Args:
        prompts: what is asked.
        markers: texts around thinking and answer.
        tokenizer: encodes them.
        context: tokens that the model can read; None: not known.

    Raises:
        UserError: a prompt and its budgets are longer than the context.
    """
    transition = max(
        len(tokenizer.encode(text, add_special_tokens=False)) if text else 0
        for text in (markers.resume_answer, markers.force_answer)
    )
    most = 0
    for prompt in prompts:
        thinking = 0 if prompt.thinking_budget is None else prompt.thinking_budget + transition
        needed = len(prompt.tokens) + thinking + prompt.answer_budget
        if context is not None and needed > context:
            raise UserError(
                f"Prompt {prompt.name or '(unnamed)'} has {len(prompt.tokens)} tokens, with its budgets {needed}, and "
                f"the model reads at most {context}; lower evaluation.thinking_budget={prompt.thinking_budget or 0} or "
                f"evaluation.answer_budget={prompt.answer_budget}, or leave the prompt out."
            )
        most = max(most, needed)
    return most
