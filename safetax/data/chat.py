"""The one renderer of chats, for training and for evaluation.

A prompt is the chat template over the messages, with the header of the assistant's turn; what the assistant writes is
the format's markup around thinking and answer. Prompt and completion are tokenised apart, so that the tokens that a
model is asked with are always the tokens that it was trained behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from safetax.config.schema import Format
from safetax.data.chat_template import ChatTemplate
from safetax.errors import UserError
from safetax.records import Example, Message

Part = Literal["thinking", "answer"]


@dataclass(frozen=True)
class TrainingRow:
    """A tokenised example; the loss is on the tokens from ``completion_start`` on."""

    tokens: list[int]
    completion_start: int
    in_objective: bool = False
    """Whether the training's objective has a term of this row."""


class ChatRenderer:
    """Renders chats for one tokenizer and one format."""

    def __init__(self, tokenizer: Any, markup: Format) -> None:
        self.tokenizer = tokenizer
        self.markup = markup
        self.template = ChatTemplate(tokenizer, markup)

    def prompt(self, messages: Sequence[Message], thinking: bool = True, assistant_header: bool = True) -> list[int]:
        """Return the token ids of a prompt, up to where the model goes on.

        Args:
            messages: the conversation up to a user turn.
            thinking: open the thinking; False: suppress it, by an empty one where the format has thinking.
            assistant_header: put the header of the assistant's turn; the paper's safety prompts lack it.
        """
        markup = self.markup
        closed = "" if thinking else markup.before_thinking + markup.close_thinking
        return self.header(messages, assistant_header) + self._opening + self.encode(closed)

    def header(self, messages: Sequence[Message], assistant_header: bool = True) -> list[int]:
        """Return the token ids of ``prompt_text``.

        Where texts of the model begin with BOS, ``chatml`` begins with it too; an own template writes it itself. There
        is one, however many the template writes.
        """
        tokens = self.encode(self.prompt_text(messages, assistant_header))
        bos: Any = self.tokenizer.bos_token_id
        if bos is None:
            return tokens
        while tokens[:2] == [bos, bos]:
            del tokens[0]
        if self.template.chatml and self.template.begins_with_bos and tokens[:1] != [bos]:
            tokens.insert(0, bos)
        return tokens

    def prompt_text(self, messages: Sequence[Message], assistant_header: bool = True) -> str:
        """Return the chat template's text of a conversation, with the header of the assistant's turn.

        A thinking that the template itself opens is left out: opening it is the format's part.
        """
        text = self.template.text(messages, assistant_header)
        marker = "" if self.template.chatml else self.markup.open_thinking.strip()
        if marker and text.rstrip().endswith(marker):
            text = text.rstrip().removesuffix(marker)
        return text

    def completion_text(self, thinking: str | None, answer: str) -> str:
        """Return what the assistant writes, without the end of its turn."""
        markup = self.markup
        if thinking is None or not markup.open_thinking:
            return self._kept(answer)
        opened = markup.open_thinking + markup.before_thinking + self._kept(thinking)
        return opened + markup.close_thinking + self._kept(answer)

    def row_text(self, example: Example) -> str:
        """Return the rendered text of a training row."""
        end = "" if example.supervised == "thinking_start" else self.end_text
        return self.prompt_text(example.messages) + self._written(example) + end

    def row(self, example: Example) -> TrainingRow:
        """Return an example as a training row.

        Raises:
            ValueError: the example has no answer, so that nothing of it would carry loss, or cannot be tokenised; or
                its loss is on the thinking's start, and it or the format has no thinking.
        """
        starts = example.supervised == "thinking_start"
        thinks, answers = (bool((part or "").strip()) for part in (example.thinking, example.answer))
        if starts:
            named = f"supervised=thinking_start of {example.id} puts its loss on the start of the thinking"
            if not self.markup.open_thinking:
                raise ValueError(f"{named}, and the format has no thinking")
            if not thinks:
                raise ValueError(f"{named}, which is empty, so no token of it would carry loss")
        elif example.answer is None:
            raise ValueError("its answer is None, so there is no turn to learn; give it one")
        elif not thinks and not answers:
            raise ValueError("its answer is empty, so no token of it would carry loss")
        self._check_marks(example)
        header = self.header(example.messages)
        completion = [token for piece in self._pieces(self._written(example)) for token in self.encode(piece)]
        # The prompt opens the thinking, so where only its start is learnt the opening has no loss.
        loss_from = len(header) + (len(self._opening) if starts else 0)
        return TrainingRow(header + completion + ([] if starts else self._end), loss_from)

    def _check_marks(self, example: Example) -> None:
        """Raise ValueError where thinking or answer hold what the format, or the end of a turn, is marked with."""
        markup = self.markup
        named = (markup.open_thinking, markup.close_thinking, markup.stop_thinking)
        marks = [mark.strip() for mark in named if mark.strip()]
        for part in ("thinking", "answer"):
            text = getattr(example, part) or ""
            found = [mark for mark in marks if mark.lower() in text.lower()]
            found += [token for token in self._special if token in text]
            if found:
                raise ValueError(f"its {part} holds {found[0]}, with which the format or the model marks its parts")

    @cached_property
    def _special(self) -> list[str]:
        """The texts that the tokenizer takes for special tokens wherever they stand."""
        added = self.tokenizer.added_tokens_decoder.values()
        return sorted({*self.tokenizer.all_special_tokens, *(token.content for token in added if token.special)})

    def _written(self, example: Example) -> str:
        """Return what the assistant writes of a training row, without the end of its turn."""
        if example.supervised == "thinking_start":
            return self.markup.open_thinking + self.markup.before_thinking + self._kept(example.thinking or "")
        return self.completion_text(example.thinking, example.answer or "")

    def _pieces(self, written: str) -> list[str]:
        """Return what is tokenised apart of what the assistant writes: the opening of its thinking, and the rest."""
        opening = self.markup.open_thinking
        opened = bool(opening) and written.startswith(opening)
        return [opening, written.removeprefix(opening)] if opened else [written]

    def parts(self, example: Example, row: TrainingRow) -> list[Part | None]:
        """Return for each token of an example's row the part that it writes; None: prompt, markup, end of the turn.

        A token is of a part if a character of it is, also where it goes on into the markup behind the part.

        Args:
            example: the example.
            row: what ``row`` made of it.

        Raises:
            UserError: the tokenizer cannot say which characters a token stands for.
        """
        opening, written = self.markup.open_thinking, self._written(example)
        begin = len(opening + self.markup.before_thinking)
        starts = example.supervised == "thinking_start"
        thinking = self._kept(example.thinking or "") if opening else ""
        answer, end = ("", 0) if starts else (self._kept(example.answer or ""), len(self._end))
        spans: dict[Part, tuple[int, int]] = {
            "thinking": (begin, begin + len(thinking)),
            "answer": (len(written) - len(answer), len(written)),
        }
        starting = zip((0, len(opening)), self._pieces(written), strict=False)
        places = [place for at, text in starting for place in self._places(text, at)]
        found: list[Part | None] = [
            next((name for name, (first, last) in spans.items() if low < last and first < high), None)
            for low, high in places
        ]
        before = len(row.tokens) - len(found) - end
        return [None] * before + found + [None] * end

    def opening(self, example: Example, row: TrainingRow) -> tuple[int, int]:
        """Return the first token of an example's row that the model itself begins with, and the one behind its first.

        Where the format has thinking the prompt opens it, so that the model begins with the thinking's first token,
        behind what the format has before it; else with the answer's.

        Args:
            example: the example.
            row: what ``row`` made of it.
        """
        opened, *rest = self._pieces(self._written(example)) if example.thinking is not None else ("", "")
        if not rest or not opened:
            return row.completion_start, row.completion_start + 1
        begin = row.completion_start + len(self._opening)
        before, written = self.encode(self.markup.before_thinking), self.encode(rest[0])
        alike = next((at for at, pair in enumerate(zip(before, written, strict=False)) if pair[0] != pair[1]), None)
        return begin, begin + (min(len(before), len(written)) if alike is None else alike) + 1

    def _places(self, text: str, at: int) -> list[tuple[int, int]]:
        """Return for each token of a text that begins at a place where its characters begin and end."""
        try:
            offsets = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True).offset_mapping
        except NotImplementedError:
            raise UserError(
                f"The model's tokenizer ({type(self.tokenizer).__name__}) cannot say which characters its tokens stand "
                "for, which the perplexity of thinking and answer needs; set shift=false."
            ) from None
        places, before = [], 0
        for low, high in offsets:
            # Some tokenizers leave white space out of what a token stands for, and a token of nothing else is empty.
            places.append((at + (low if low < high else before), at + high))
            before = high
        return places

    def _kept(self, text: str) -> str:
        return text if self.markup.keep_whitespace else text.strip()

    @cached_property
    def _opening(self) -> list[int]:
        return self.encode(self.markup.open_thinking)

    @cached_property
    def _end(self) -> list[int]:
        return self.encode(self.end_text)

    @property
    def end_text(self) -> str:
        """The text that ends the assistant's turn in a training row."""
        return self.template.end_text

    @property
    def ends(self) -> list[list[int]]:
        """What ends a response when it is generated: the end of the turn, which may be several tokens, and EOS."""
        return self.template.ends

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
