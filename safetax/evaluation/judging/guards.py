"""Judge models that write their verdict: a short greedy reply to an instruction with prompt and response in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

from safetax.config.fields import AtLeast, HashedUnless
from safetax.config.needs import Library, Needs
from safetax.data.hub import model_facts
from safetax.errors import UserError
from safetax.evaluation.engines.hf import padded
from safetax.evaluation.judging.cases import Case, JudgeContext, Reader, judge_cases
from safetax.evaluation.judging.instructions import digest, filled
from safetax.evaluation.judging.models import JudgeModel, JudgeModelConfig, load_tokenizer, needs_of_model, source_of
from safetax.models.checkpoint import ends_of, generation_ends
from safetax.records import Example, Response, Verdict


@dataclass(frozen=True)
class Guard(JudgeModelConfig):
    """A guard model, what writes its replies, and how much of a text it reads."""

    engine: Annotated[Literal["transformers", "vllm"], HashedUnless("transformers")] = "transformers"
    """``vllm`` is faster where there are many texts; its arithmetic differs in the last digits."""
    max_text_tokens: Annotated[int, AtLeast(1)] = 4096
    """Tokens of the judged text; what is longer loses its end, and is counted."""
    max_reply_tokens: Annotated[int, AtLeast(1)] = 32

    def needs(self, parameters: float, gated: bool = False) -> Needs:
        """Return what the guard needs; see :func:`safetax.evaluation.judging.models.needs_of_model`."""
        needs = needs_of_model(self, parameters, self.max_text_tokens, gated)
        return (
            replace(needs, libraries=(*needs.libraries, Library("vllm", "engine"))) if self.engine == "vllm" else needs
        )

    def facts(self, instruction: Callable[[], str | None] = lambda: None) -> dict[str, Any]:
        """Return the commit of the model or the hashes of its folder, and the hash of its instruction if it has one."""
        found, template = model_facts(self.id, self.revision), instruction()
        return found if template is None else {**found, "template": digest(template)}


Render = Callable[[Any, Guard, Case, str], str]
"""Tokenizer, configuration, case and its (perhaps cut) text -> the text that the guard goes on from."""
Parse = Callable[[Case, str], Verdict]
"""Case and reply -> verdict; an unreadable reply is an error."""


class GuardReader(Reader[tuple[list[int], bool], tuple[str, bool]]):
    """A loaded guard model; a prompt is its token ids, and whether the judged text lost its end.

    A prompt that cannot be rendered, or leaves the model no room for a reply, gives a verdict with an error.
    """

    def __init__(self, config: Guard, context: JudgeContext, render: Render, parse: Parse, whole: bool = True) -> None:
        self.config = config
        self.whole = whole
        self.render = render
        self.parse = parse
        start = VllmReplicas if config.engine == "vllm" else TransformersCopies
        self.backend = start(config, context.facts, context.runtime)

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

    def replies(self, prompts: Sequence[tuple[list[int], bool]]) -> Iterator[tuple[int, tuple[str, bool]]]:
        """Yield the guard's greedy replies."""
        return self.backend.replies([ids for ids, _ in prompts], self.config.max_reply_tokens)

    def verdict(self, case: Case, prompt: tuple[list[int], bool], reply: tuple[str, bool]) -> Verdict:
        """Return the verdict that a reply says, marked where the guard read only a part of the text."""
        text, cut = reply
        if cut and self.whole:
            verdict = case.error(f"the guard's reply was cut at {self.config.max_reply_tokens} tokens", {"reply": text})
        else:
            verdict = self.parse(case, text)
        if prompt[1]:
            verdict.detail["truncated"] = True
        return verdict

    def close(self) -> None:
        """Give the guard's memory back."""
        self.backend.close()


def judge_by_guard(
    config: Guard,
    examples: Sequence[Example],
    responses: Sequence[Response],
    context: JudgeContext,
    render: Render,
    parse: Parse,
    whole: bool = True,
) -> list[Verdict]:
    """Judge each response by a guard model.

    Args:
        config: the guard.
        examples: the prompts.
        responses: what is judged.
        context: as every judge's.
        render: makes what the guard reads.
        parse: makes a verdict of a reply.
        whole: a reply that its limit cut is an error; False: the limit is where the published judge ends it.
    """
    start = partial(GuardReader, config, context, render, parse, whole)
    return judge_cases(config.part, examples, responses, context, start)


def with_instruction(tokenizer: Any, template: str, values: Mapping[str, str]) -> str:
    """Return an instruction with prompt and response in it, which cannot speak to the guard as its template does."""
    return filled(template, {place: defused(tokenizer, value) for place, value in values.items()})


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


class TransformersCopies(JudgeModel):
    """A guard model in transformers: batches of like length, on a copy of the model for each GPU."""

    def __init__(self, model: JudgeModelConfig, facts: Mapping[str, Any], runtime: Mapping[str, Any]) -> None:
        from transformers import GenerationConfig

        super().__init__(model, "AutoModelForCausalLM", facts, runtime)
        self.ends = _ends(ends_of(self.copies[0].generation_config), self.tokenizer)
        self.pad = self.ends[0] if self.tokenizer.pad_token_id is None else self.tokenizer.pad_token_id
        for copy in self.copies:
            # What a request leaves open would come from the model's own settings, a repetition penalty above all.
            copy.generation_config = GenerationConfig()

    def replies(self, rows: Sequence[Sequence[int]], limit: int) -> Iterator[tuple[int, tuple[str, bool]]]:
        """Yield the index of each prompt's token ids with the greedy reply of at most ``limit`` tokens, and whether
        the limit cut it.
        """
        from transformers import GenerationConfig

        settings = GenerationConfig(
            do_sample=False, max_new_tokens=limit, eos_token_id=self.ends, pad_token_id=self.pad
        )

        def ask(copy: Any, batch: list[int]) -> list[tuple[str, bool]]:
            ids, mask = padded([rows[index] for index in batch], self.pad, "left", copy.device)
            output = copy.generate(input_ids=ids, attention_mask=mask, generation_config=settings)
            written = output[:, ids.shape[1] :].tolist()
            texts = self.tokenizer.batch_decode(written, skip_special_tokens=True)
            return [(text, not set(self.ends) & set(tokens)) for text, tokens in zip(texts, written, strict=True)]

        return self.run([len(row) for row in rows], None, ask)

    def close(self) -> None:
        """Give the memory back."""
        self.copies.clear()


class VllmReplicas:
    """A guard model in replicas of vLLM, on as few GPUs each as the guard's own weights need."""

    def __init__(self, model: JudgeModelConfig, facts: Mapping[str, Any], runtime: Mapping[str, Any]) -> None:
        from safetax.evaluation.engines import Markers, Source, vllm

        self.tokenizer = load_tokenizer(model, facts)
        source, revision = source_of(model, facts)
        self.markers = Markers("", "", "", tuple(_ends(generation_ends(source, revision), self.tokenizer)))
        origin = Source({"model": {"id": source, "revision": revision}}, {}, self.tokenizer)
        # How many GPUs hold a copy of the judged model says nothing about the guard.
        self.engine = vllm.start(vllm.Config("vllm", model.dtype), origin, {**runtime, "tensor_parallel": None})
        self.context = self.engine.size.context

    def replies(self, rows: Sequence[Sequence[int]], limit: int) -> Iterator[tuple[int, tuple[str, bool]]]:
        """Yield the index of each prompt's token ids with the greedy reply of at most ``limit`` tokens, and whether
        the limit cut it.
        """
        from safetax.evaluation.engines import Prompt

        prompts = [Prompt(list(row), None, limit, 0.0, 1.0, 0, name=f"text {n}") for n, row in enumerate(rows)]
        for index, generated in self.engine.respond(prompts, self.markers):
            yield index, (generated.answer, generated.end_of_answer == "budget")

    def close(self) -> None:
        """End the replicas."""
        self.engine.close()


def _ends(own: list[int], tokenizer: Any) -> list[int]:
    """Return the tokens that end a reply, as the model's own settings or else its tokenizer say."""
    return own or [tokenizer.eos_token_id or 0]
