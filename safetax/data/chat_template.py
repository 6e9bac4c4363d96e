"""Chat templates: how one begins a text, renders a conversation, and ends the assistant's turn."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from safetax.config.schema import Format
from safetax.errors import UserError
from safetax.records import Message

RULE = 2
"""Raised when texts of a model's own tokenizer begin or end otherwise, so that no earlier step of it is reused."""
CHATML_END = "<|im_end|>\n"
SHOWN: tuple[Message, Message] = (
    {"role": "user", "content": "what it is asked"},
    {"role": "assistant", "content": "what it answers"},
)
"""A conversation by which a template shows how it begins a text and ends a turn."""


class ChatTemplate:
    """The template of a format: the tokenizer's own, or that of the Qwen2.5 family for any tokenizer."""

    def __init__(self, tokenizer: Any, markup: Format) -> None:
        self.tokenizer = tokenizer
        self.markup = markup
        self.chatml = markup.template == "chatml"
        if not self.chatml and not getattr(tokenizer, "chat_template", None):
            raise UserError(
                "The model's tokenizer has no chat template, which every prompt is rendered with; choose a format with "
                "template=chatml, such as format=s1."
            )

    def text(self, messages: Sequence[Message], assistant_header: bool = False) -> str:
        """Return the text of a conversation.

        Args:
            messages: the conversation.
            assistant_header: end with the header of the assistant's turn.

        Raises:
            ValueError: the tokenizer's own template cannot render it.
        """
        if self.chatml:
            return chatml(messages, self.markup.system, assistant_header)
        return self._own_text(messages, assistant_header)

    def _own_text(self, messages: Sequence[Message], assistant_header: bool = False) -> str:
        try:
            text: str = self.tokenizer.apply_chat_template(
                list(messages), add_generation_prompt=assistant_header, tokenize=False
            )
        except Exception as error:  # a template may fail as any program does
            raise ValueError(f"the tokenizer's chat template cannot render it ({error})") from None
        return text

    @cached_property
    def begins_with_bos(self) -> bool:
        """Whether the model's texts begin with BOS: by its tokenizer or its own template.

        transformers takes some published tokenizers for a class that adds none.
        """
        bos, token = self.tokenizer.bos_token_id, self.tokenizer.bos_token
        if bos is None:
            return False
        if self.tokenizer("").input_ids[:1] == [bos]:
            return True
        return bool(getattr(self.tokenizer, "chat_template", None)) and self._own_text(SHOWN[:1]).startswith(token)

    @cached_property
    def end_text(self) -> str:
        """The text that ends the assistant's turn in training rows: what the template writes, and what stops the model.

        A template that ends the turn with no token at which the model stops, such as one that writes a line end or
        nothing, would train a model that goes on for ever: EOS is put behind it. Rows of ``chatml`` stay as published;
        ``unstoppable`` says where they hold no such token.

        Raises:
            ValueError: nothing says where the model stops.
        """
        if self.chatml or self._stop is not None:
            return self._turn_end
        if self.tokenizer.eos_token is None:
            raise ValueError(
                f"the tokenizer's chat template ends the assistant's turn with {self._turn_end!r}, at which no model "
                "stops, and the tokenizer has no eos_token; set one in its tokenizer_config.json"
            )
        return self._turn_end + self.tokenizer.eos_token

    @cached_property
    def _turn_end(self) -> str:
        """The text that the template puts behind the assistant's turn."""
        if self.chatml:
            return CHATML_END
        _, found, end = self._own_text(SHOWN).rpartition(SHOWN[1]["content"])
        if not found:
            raise ValueError(
                "the tokenizer's chat template leaves out what the assistant says; mend it, or choose a format with "
                "template=chatml, such as format=s1"
            )
        return end

    @cached_property
    def _stop(self) -> int | None:
        """The token at the end of a turn at which the model stops; None: the template writes none."""
        special = {*self.tokenizer.all_special_ids, *self.tokenizer.get_added_vocab().values()}
        return next((token for token in self._encode(self._turn_end) if token in special), None)

    @cached_property
    def ends(self) -> list[list[int]]:
        """What ends a response when it is generated: the end of the turn, which may be several tokens, and EOS."""
        eos, turn = self.tokenizer.eos_token_id, []
        with suppress(ValueError):  # a template that writes no turn of the assistant can still ask
            turn = self._encode(self._turn_end.strip()) if self._stop is None else [self._stop]
        return [end for end in ([turn] if turn == [eos] or eos is None else [turn, [eos]]) if end]

    @property
    def unstoppable(self) -> str:
        """What is wrong where training rows hold no token at which the model stops; empty: nothing is."""
        if not self.chatml or self._stop is not None:
            return ""
        return (
            f"rows of format={self.markup.name} end with {CHATML_END.strip()}, as published, which is plain text to "
            "this model's tokenizer: safetax stops there, other programs that load the trained model do not; for rows "
            "that end as the model's own do choose a format with template=own, such as format=think_tags"
        )

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False) if text else []


def chatml(messages: Sequence[Message], system: str | None, assistant_header: bool) -> str:
    """Return a conversation in the chat template of the Qwen2.5 family (without tools).

    Args:
        messages: the conversation.
        system: system message of a conversation that has none; None: it stays without.
        assistant_header: end with the header of the assistant's turn.
    """
    turns = list(messages)
    if system is not None and not (turns and turns[0]["role"] == "system"):
        turns.insert(0, {"role": "system", "content": system})
    text = "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in turns)
    return text + "<|im_start|>assistant\n" * assistant_header
