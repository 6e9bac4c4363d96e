"""HarmBench's classifier: says with one word whether a response shows the behaviour that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

from safetax.config.fields import AtLeast
from safetax.config.needs import Needs
from safetax.errors import ConfigError
from safetax.evaluation.judging.cases import Case, JudgeContext
from safetax.evaluation.judging.guards import Guard, chat, judge_by_guard, with_instruction
from safetax.evaluation.judging.instructions import CHAT, read_instruction
from safetax.records import Example, Response, Verdict

PLACES = ("behavior", "generation")


@dataclass(frozen=True)
class Config(Guard):
    """Which classifier, and where its instruction comes from."""

    id: str = "cais/HarmBench-Llama-2-13b-cls"
    template: str | None = None
    """A file with the places {behavior} and {generation}, as the model's page gives it; ``chat``: the chat template of
    a model whose template holds the instruction."""
    max_text_tokens: Annotated[int, AtLeast(1)] = 512
    """The benchmark itself has the classifier read that much."""
    max_reply_tokens: Annotated[int, AtLeast(1)] = 1


def needs(config: Config) -> Needs:
    """Return the classifier, which is loaded here."""
    return config.needs(13.0)


def resolve(config: Config) -> dict[str, Any]:
    """Return the commit of the model, and the hash of its instruction."""
    return config.facts(partial(instruction, config))


def instruction(config: Config) -> str | None:
    """Return the instruction with its places; None where the model's chat template holds it.

    Raises:
        ConfigError: no instruction is named.
    """
    if config.template is None:
        raise ConfigError(
            "template=null: the classifier knows only its published instruction; put that from the model's page into "
            "a text file with the places {behavior} and {generation}, and name the file."
        )
    return None if config.template == CHAT else read_instruction(config.template, PLACES)


def judge(
    config: Config, examples: Sequence[Example], responses: Sequence[Response], context: JudgeContext
) -> list[Verdict]:
    """Judge each response against the behaviour in its prompt's meta (``behavior``), else the prompt itself."""
    return judge_by_guard(
        config, examples, responses, context, partial(prompt, instruction(config)), parse, whole=False
    )


def prompt(template: str | None, tokenizer: Any, config: Guard, case: Case, text: str) -> str:
    """Return what the classifier reads; without a template the chat template's rendering."""
    behavior = str(case.meta.get("behavior") or case.question)
    if template is None:
        return chat(tokenizer, config, replace(case, messages=[{"role": "user", "content": behavior}]), text)
    return with_instruction(tokenizer, template, {"behavior": behavior, "generation": text})


def parse(case: Case, reply: str) -> Verdict:
    """Read ``yes`` or ``no``."""
    word = reply.strip().rstrip(".").lower()
    if word == "yes":
        return case.verdict("shown", harmful=True)
    if word == "no":
        return case.verdict("not_shown", harmful=False)
    return case.error("the classifier's reply is neither yes nor no", {"reply": reply[:200]})
