"""Judge models that write their verdict: a short greedy reply to an instruction with prompt and response in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from safetax.config.fields import AtLeast, HashedUnless
from safetax.errors import UserError
from safetax.evaluation.judging.backends import Writing, writer
from safetax.evaluation.judging.context import JudgeContext
from safetax.evaluation.judging.models import LocalModel
from safetax.evaluation.judging.verdicts import Case, judge_each
from safetax.records import Example, Response, Verdict


@dataclass(frozen=True)
class Guard(LocalModel):
    """A guard model, what writes its replies, and how much of a text it reads."""

    engine: Annotated[Writing, HashedUnless("transformers")] = "transformers"
    """``vllm`` is faster where there are many texts; its arithmetic differs in the last digits."""
    max_text_tokens: Annotated[int, AtLeast(1)] = 4096
    """Tokens of the judged text; what is longer loses its end, and is counted."""
    max_reply_tokens: Annotated[int, AtLeast(1)] = 32


Render = Callable[[Any, Case, str], str]
"""Tokenizer, case and its (perhaps cut) text -> the text that the guard goes on from."""
Parse = Callable[[Case, str], Verdict]
"""Case and reply -> verdict; an unreadable reply is an error."""


def guard(
    config: Guard,
    examples: Sequence[Example],
    responses: Sequence[Response],
    context: JudgeContext,
    render: Render,
    parse: Parse,
) -> list[Verdict]:
    """Return the guard's verdict on each response.

    A prompt that cannot be rendered, or leaves the model no room for a reply, gives a verdict with an error.
    """

    def judged(cases: list[Case]) -> Iterator[Verdict]:
        from jinja2 import TemplateError

        model = writer(config.engine, config, context.facts, context.runtime)
        try:
            rows, asked, cut = [], [], []
            for case in cases:
                text, shortened = shorten(model.tokenizer, case.text, config.max_text_tokens)
                try:
                    row = encode(model.tokenizer, render(model.tokenizer, case, text))
                except TemplateError as error:
                    yield case.error(f"the chat template does not take this conversation: {error}")
                    continue
                if model.context and len(row) + config.max_reply_tokens > model.context:
                    yield case.error(f"{len(row)} tokens leave the judge no room for a reply within {model.context}")
                    continue
                rows.append(row)
                asked.append(case)
                cut.append(shortened)
            for index, reply in model.replies(rows, config.max_reply_tokens):
                verdict = parse(asked[index], reply)
                if cut[index]:
                    verdict.detail["truncated"] = True
                yield verdict
        finally:
            model.close()

    return judge_each(config.part, examples, responses, context, judged)


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
