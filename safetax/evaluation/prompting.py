"""What an engine is asked for one response, and where its text parts into thinking and answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from safetax.config.schema import Format
from safetax.data.chat import ChatRenderer
from safetax.errors import UserError
from safetax.evaluation.engines import Generated, Markers, Prompt
from safetax.evaluation.engines._two_phase import longest
from safetax.records import Example


def make_prompt(identity: Mapping[str, Any], renderer: ChatRenderer, example: Example, repeat: int) -> Prompt:
    """Return what an engine is asked for one response.

    Raises:
        UserError: the prompt cannot be tokenised.
    """
    sampling = identity["sampling"]
    budget = sampling["thinking_budget"] if renderer.markup.open_thinking else 0
    try:
        tokens = renderer.prompt(example.messages, budget > 0, sampling["assistant_header"])
    except ValueError as error:
        raise UserError(f"Prompt {example.id} cannot be asked: {error}") from None
    one_phase = sampling["one_phase"] and budget > 0
    return Prompt(
        tokens,
        None if one_phase else budget or None,
        budget if one_phase else sampling["answer_budget"],
        sampling["temperature"],
        sampling["top_p"],
        prompt_seed(sampling["seed"], example.id, repeat),
        sampling["ignore_end"],
        sampling["go_on"],
        example.id,
    )


def prompt_seed(seed: int, name: str, repeat: int) -> int:
    """Return the sampling seed of one response, from the step's seed and the prompt alone (63 bits)."""
    digest = hashlib.sha256(json.dumps([seed, name, repeat]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def markers_of(renderer: ChatRenderer, model_ends: Sequence[int] = ()) -> Markers:
    """Return the texts and tokens around thinking and answer of a format.

    Args:
        renderer: of the format.
        model_ends: tokens that end a response by the model's own settings, besides those of the turn: models that were
            tuned for chats often write the end of a document too.
    """
    markup = renderer.markup
    stop = markup.stop_thinking or markup.close_thinking
    single = tuple(end[0] for end in renderer.ends if len(end) == 1)
    several = tuple(renderer.decode(end) for end in renderer.ends if len(end) > 1)
    return Markers(
        stop_thinking=stop,
        resume_answer=markup.resume_answer or stop,
        force_answer=markup.force_answer or markup.close_thinking,
        end_tokens=tuple(dict.fromkeys([*single, *model_ends])),
        end_texts=several,
    )


def split(generated: Generated, markup: Format) -> Generated:
    """Part a text that was generated in one phase at the first marker of an answer; without one it stays whole."""
    marker = markup.resume_answer or markup.stop_thinking or markup.close_thinking
    thinking, found, answer = generated.answer.partition(marker)
    if not found:
        return replace(generated, end_of_thinking="unclosed")
    return replace(generated, thinking=thinking, transition=found, answer=answer, end_of_thinking="closed")


def check_prompts(examples: Sequence[Example], renderer: ChatRenderer, use: Mapping[str, Any]) -> None:
    """Check that a model can be asked all prompts of a set, and has room for their answers.

    Args:
        examples: the prompts.
        renderer: of the model's tokenizer and the format.
        use: ``sampling`` as in the identity of the step that asks, and ``context``: tokens that the model can read,
            where that is known.

    Raises:
        UserError: a prompt cannot be tokenised, or is too long with its budgets.
    """
    prompts = [make_prompt(use, renderer, example, 0) for example in examples]
    longest(prompts, markers_of(renderer), renderer.tokenizer, use.get("context"))
