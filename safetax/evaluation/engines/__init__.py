"""Engines: what generates responses from a checkpoint.

An engine's module has a ``Config`` and a function ``start(config, source, runtime) -> Engine``. How a response goes
through thinking and answer stands once, in :mod:`safetax.evaluation.engines._two_phase`; an engine completes texts.
``needs(config)`` (optional) says what it needs to run: :mod:`safetax.config.needs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from safetax.records import EndOfAnswer, EndOfThinking


@dataclass(frozen=True)
class Source:
    """Where the model that generates comes from."""

    identity: Mapping[str, Any]
    """The step's identity, which names the starting model where no step makes it."""
    inputs: Mapping[str, Any]
    """The step's input folders; ``model`` is the train step's, if there is one."""
    tokenizer: Any


@dataclass(frozen=True)
class Prompt:
    """One response to be generated.

    ``tokens`` end where the model goes on. ``thinking_budget`` is None where the response has no thinking of its own.
    ``ignore_end`` is how often the end of the thinking is ignored, and ``go_on`` put in its place. ``name`` is what
    messages call it.
    """

    tokens: list[int]
    thinking_budget: int | None
    answer_budget: int
    temperature: float
    top_p: float
    seed: int
    ignore_end: int = 0
    go_on: str = ""
    name: str = ""


@dataclass(frozen=True)
class Markers:
    """Texts and tokens around thinking and answer."""

    stop_thinking: str
    """What the model writes to end its thinking; any number of tokens."""
    resume_answer: str
    """Put in its place before the answer; the same: the model goes on behind what it wrote."""
    force_answer: str
    """Put behind thinking that the budget cut."""
    end_tokens: tuple[int, ...]
    """Tokens that end the whole response."""
    end_texts: tuple[str, ...] = ()
    """Texts that end it, where the end of a turn is several tokens."""


@dataclass(frozen=True)
class Generated:
    """A finished response as text, without the end of the turn; ``transition`` stands between thinking and answer."""

    thinking: str | None
    transition: str
    answer: str
    thinking_tokens: int
    answer_tokens: int
    end_of_thinking: EndOfThinking
    end_of_answer: EndOfAnswer


@dataclass(frozen=True)
class PromptSharing:
    """How prompts are shared with engines on other nodes; without them every prompt is this one's."""

    claim: Callable[[int], bool] = lambda index: True
    """Asked for each prompt, by its index, when its turn has come: whether it is this engine's to answer; so it
    stays, however often it is asked."""
    nodes: int = 1


ALONE = PromptSharing()


class Engine(Protocol):
    """Generates responses."""

    facts: dict[str, Any]
    """What the responses depend on besides the configuration, such as version and tensor parallel width; whole once the
    first response is there."""

    def respond(
        self, prompts: Sequence[Prompt], markers: Markers, sharing: PromptSharing = ALONE
    ) -> Iterator[tuple[int, Generated]]:
        """Yield the index of each prompt that is this engine's with its response, as they finish."""
        ...

    def close(self) -> None:
        """End the engine and give its memory back."""
        ...
