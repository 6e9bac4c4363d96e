"""Judge models that write their verdict: a short greedy reply to an instruction with prompt and response in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from safetax.config.fields import AtLeast, HashedUnless
from safetax.config.needs import Library, Needs
from safetax.errors import UserError
from safetax.evaluation.judging.backends import BackendName, start_backend
from safetax.evaluation.judging.cases import Case, Reader
from safetax.evaluation.judging.context import JudgeContext
from safetax.evaluation.judging.models import JudgeModelConfig, needs_of_model
from safetax.records import Verdict


@dataclass(frozen=True)
class Guard(JudgeModelConfig):
    """A guard model, what writes its replies, and how much of a text it reads."""

    engine: Annotated[BackendName, HashedUnless("transformers")] = "transformers"
    """``vllm`` is faster where there are many texts; its arithmetic differs in the last digits."""
    max_text_tokens: Annotated[int, AtLeast(1)] = 4096
    """Tokens of the judged text; what is longer loses its end, and is counted."""
    max_reply_tokens: Annotated[int, AtLeast(1)] = 32


Render = Callable[[Any, Guard, Case, str], str]
"""Tokenizer, configuration, case and its (perhaps cut) text -> the text that the guard goes on from."""
Parse = Callable[[Case, str], Verdict]
"""Case and reply -> verdict; an unreadable reply is an error."""


def needs_of_guard(config: Guard, parameters: float, gated: bool = False) -> Needs:
    """Return what a guard needs; see :func:`safetax.evaluation.judging.models.needs_of_model`."""
    needs = needs_of_model(config, parameters, config.max_text_tokens, gated)
    engine = (Library("vllm", "engine"),) if config.engine == "vllm" else ()
    return replace(needs, libraries=(*needs.libraries, *engine))


class GuardReader(Reader[tuple[list[int], bool], str]):
    """A loaded guard model; a prompt is its token ids, and whether the judged text lost its end.

    A prompt that cannot be rendered, or leaves the model no room for a reply, gives a verdict with an error.
    """

    def __init__(self, config: Guard, context: JudgeContext, render: Render, parse: Parse) -> None:
        self.config = config
        self.render = render
        self.parse = parse
        self.backend = start_backend(config.engine, config, context.facts, context.runtime)

    def prompt(self, case: Case) -> tuple[list[int], bool] | Verdict:
        """Return the token ids of a case, and whether its text was cut."""
        from jinja2 import TemplateError

        config, tokenizer, room = self.config, self.backend.tokenizer, self.backend.context
        text, cut = shorten(tokenizer, case.text, config.max_text_tokens)
        try:
            ids = encode(tokenizer, self.render(tokenizer, config, case, text))
        except TemplateError as error:
            return case.error(f"the chat template does not take this conversation: {error}")
        if room and len(ids) + config.max_reply_tokens > room:
            return case.error(f"{len(ids)} tokens leave the judge no room for a reply within {room}")
        return ids, cut

    def replies(self, prompts: Sequence[tuple[list[int], bool]]) -> Iterator[tuple[int, str]]:
        """Yield the guard's greedy replies."""
        return self.backend.replies([ids for ids, _ in prompts], self.config.max_reply_tokens)

    def verdict(self, case: Case, prompt: tuple[list[int], bool], reply: str) -> Verdict:
        """Return the verdict that a reply says, marked where the guard read only a part of the text."""
        verdict = self.parse(case, reply)
        if prompt[1]:
            verdict.detail["truncated"] = True
        return verdict

    def close(self) -> None:
        """Give the guard's memory back."""
        self.backend.close()


def chat(tokenizer: Any, config: Guard, case: Case, text: str) -> str:
    """Render prompt and response in the model's own chat template, system messages left out.

    Raises:
        UserError: the model has no chat template.
    """
    if not tokenizer.chat_template:
        raise UserError(f"The judge model id={config.id} has no chat template, which {config.kind} asks it through.")
    turns = [dict(turn) for turn in case.messages if turn["role"] != "system"]
    turns.append({"role": "assistant", "content": text})
    for turn in turns:
        turn["content"] = defused(tokenizer, turn["content"])
    return tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)


def defused(tokenizer: Any, text: str) -> str:
    """Return the text with special tokens of the judge broken up: an answer must not speak to it as its template does.

    A text without one is returned as it is.
    """
    added = (str(token) for token in tokenizer.added_tokens_decoder.values() if token.special)
    for token in sorted({*added, *tokenizer.all_special_tokens}, key=len, reverse=True):
        if len(token) > 1:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def shorten(tokenizer: Any, text: str, limit: int) -> tuple[str, bool]:
    """Return the beginning of a text of at most ``limit`` tokens, and whether something is missing."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    if len(ids) <= limit:
        return text, False
    return tokenizer.decode(ids[:limit], skip_special_tokens=False, clean_up_tokenization_spaces=False), True


def encode(tokenizer: Any, text: str) -> list[int]:
    """Return the token ids of a rendered prompt; a beginning token that it has already is not put there twice."""
    begins = bool(tokenizer.bos_token) and text.startswith(tokenizer.bos_token)
    return tokenizer.encode(text, add_special_tokens=not begins)
