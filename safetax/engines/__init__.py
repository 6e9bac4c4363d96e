"""Engines: what generates responses from a checkpoint.

An engine's module has a ``Config`` and a function ``start(config, model, tokenizer, batch) -> Engine``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from safetax.records import EndOfAnswer, EndOfThinking


@dataclass(frozen=True)
class Prompt:
    """One response to be generated.

    ``tokens`` end where the model goes on. ``thinking_budget`` is None where the response has no thinking of its own.
    """

    tokens: list[int]
    thinking_budget: int | None
    answer_budget: int
    temperature: float
    top_p: float
    seed: int


@dataclass(frozen=True)
class Markers:
    """Token ids around thinking and answer."""

    stop_thinking: list[int]
    """What the model writes to end its thinking."""
    after_thinking: list[int]
    """Put behind thinking that the model ended, its own marker replaced."""
    after_budget: list[int]
    """Put behind thinking that the budget cut."""
    end_of_turn: int


@dataclass(frozen=True)
class Generated:
    """A finished response as token ids, without markers and end of turn."""

    thinking: list[int] | None
    answer: list[int]
    end_of_thinking: EndOfThinking
    end_of_answer: EndOfAnswer


class Engine(Protocol):
    """Generates responses."""

    def respond(self, prompts: Sequence[Prompt], markers: Markers) -> Iterator[tuple[int, Generated]]:
        """Yield the index of each prompt with its response, as they finish."""
        ...
