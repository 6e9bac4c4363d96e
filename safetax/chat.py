"""The one renderer of chats, for training and for evaluation.

A prompt is the model's own chat template over the messages, with the header of the assistant's turn; what the assistant
writes is the format's markup around thinking and answer. Prompt and completion are tokenised apart, so that the tokens
that a model is asked with are always the tokens that it was trained behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from safetax.config.schema import Format
from safetax.errors import UserError
from safetax.records import Example, Message


@dataclass(frozen=True)
class TrainingRow:
    """A tokenised example; the loss is on the tokens from ``completion_start`` on."""

    tokens: list[int]
    completion_start: int


class ChatRenderer:
    """Renders chats for one tokenizer and one format."""

    def __init__(self, tokenizer: Any, markup: Format) -> None:
        self.tokenizer = tokenizer
        self.markup = markup
        if not getattr(tokenizer, "chat_template", None):
            raise UserError("The model's tokenizer has no chat template, which every prompt is rendered with.")
        self.end_of_turn = end_of_turn(tokenizer)

    def prompt(self, messages: Sequence[Message], thinking: bool = True) -> list[int]:
        """Return the token ids of a prompt, up to where the model goes on.

        Args:
            messages: the conversation up to a user turn.
            thinking: open the thinking; False: suppress it, by an empty one where the format has thinking.
        """
        markup = self.markup
        opening = (
            markup.open_thinking if thinking else markup.open_thinking + markup.close_thinking + markup.open_answer
        )
        return self.header(messages) + self.encode(opening)

    def header(self, messages: Sequence[Message]) -> list[int]:
        """Return the token ids of the conversation with the header of the assistant's turn."""
        text = self.tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False)
        return self.encode(text)

    def completion(self, thinking: str | None, answer: str) -> list[int]:
        """Return the token ids of what the assistant writes, the end of its turn included."""
        markup = self.markup
        text = answer
        if thinking is not None and markup.open_thinking:
            text = markup.open_thinking + thinking + markup.close_thinking + markup.open_answer + answer
        return [*self.encode(text), self.end_of_turn]

    def row(self, example: Example) -> TrainingRow:
        """Return an example as a training row.

        Raises:
            ValueError: the example has no answer, so that nothing of it would carry loss, or cannot be tokenised.
        """
        if not example.answer and not example.thinking:
            raise ValueError("its answer is empty, so no token of it would carry loss")
        header = self.header(example.messages)
        completion = self.completion(example.thinking, example.answer or "")
        return TrainingRow(header + completion, len(header))

    def encode(self, text: str) -> list[int]:
        """Return the token ids of rendered text; special tokens stand in the text itself.

        Raises:
            ValueError: the tokenizer has no token for something in the text.
        """
        try:
            return self.tokenizer.encode(text, add_special_tokens=False) if text else []
        except Exception as error:  # tokenizers raises nothing more specific
            raise ValueError(f"the tokenizer cannot encode it ({error}): {text[:80]!r}") from None

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of generated tokens; special tokens are kept."""
        return self.tokenizer.decode(list(tokens), skip_special_tokens=False)


def end_of_turn(tokenizer: Any) -> int:
    """Return the token that ends the assistant's turn: what the chat template puts behind it, else the eos token."""
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    tail = tokenizer.encode(text[text.rindex("b") + 1 :], add_special_tokens=False)
    special = set(tokenizer.all_special_ids) | set(tokenizer.get_added_vocab().values())
    return next((token for token in tail if token in special), tokenizer.eos_token_id)
