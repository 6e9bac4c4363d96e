"""Rows that are rendered already, as some data sets are published: one text with chat template and thinking markup.

The text is parted into messages, thinking and answer, white space included, so that the rows can be rendered in any
format, judged and counted like all others. A row counts only if rendering it again gives the very same text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from safetax.config.messages import show
from safetax.config.needs import Needs
from safetax.config.schema import Format
from safetax.data.chat import ChatRenderer
from safetax.data.datasets import BadRowError, DatasetContext, Row, shortened, text_in
from safetax.data.datasets._rows import RowsDataset, examples_of_rows
from safetax.errors import ConfigError
from safetax.records import Example, Message

_TURN = re.compile(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>\n", re.DOTALL)
_ASSISTANT = "<|im_start|>assistant\n"
_END = "<|im_end|>\n"


@dataclass(frozen=True, kw_only=True)
class Config(RowsDataset):
    """The first ``limit`` rows (all when None), each with a column ``text`` that was rendered in ``format``."""

    format: Format
    """What the text was rendered in; the run may have another one."""

    def __post_init__(self) -> None:
        """Check that the format can be read without a tokenizer and has thinking."""
        if self.format.template != "chatml" or not self.format.open_thinking or not self.format.keep_whitespace:
            raise ConfigError(
                f"format.template={self.format.template}, open_thinking={show(self.format.open_thinking)}, "
                f"keep_whitespace={show(self.format.keep_whitespace)}: allowed is chatml with thinking and its white "
                "space kept, such as format@dataset.format=s1."
            )


def needs(config: Config) -> Needs:
    """Return how many rows it makes, and how long they are; as published where nothing else is set."""
    return Needs(rows=config.limit or 1000, row_tokens=900)


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Part the texts. Raises UserError when one is not what its parts are rendered to."""
    renderer = ChatRenderer(None, config.format)

    def example(index: int, row: Row) -> Example:
        text = text_in(row, "text")
        messages, thinking, answer = parts_of(text, config.format)
        if not answer.strip():
            raise BadRowError("its answer is empty")
        parted = Example(f"{config.kind}-{index:05d}", messages, thinking, answer)
        if renderer.row_text(parted) != text:
            raise BadRowError("its text is not what its parts are rendered to", shortened(text))
        return parted

    return examples_of_rows(config, context, example)


def parts_of(text: str, markup: Format) -> tuple[list[Message], str, str]:
    """Return the messages of a rendered text without the format's own system message, its thinking and its answer.

    Raises:
        BadRowError: a part of the markup is missing.
    """
    head, found, written = text.partition(_ASSISTANT)
    if not found:
        raise BadRowError("its text has no turn of the assistant", shortened(text))
    messages = [{"role": turn[1], "content": turn[2]} for turn in _TURN.finditer(head)]
    if not messages or messages[-1]["role"] != "user":
        raise BadRowError("its text has no turn of the user before the assistant's", shortened(head))
    if messages[0] == {"role": "system", "content": markup.system}:
        del messages[0]
    opening = markup.open_thinking + markup.before_thinking
    if not written.startswith(opening):
        raise BadRowError(f"its thinking does not begin with {opening!r}", shortened(written))
    thinking, closed, answer = written.removeprefix(opening).partition(markup.close_thinking)
    if not closed:
        raise BadRowError(f"its thinking is not closed by {markup.close_thinking!r}")
    if not answer.endswith(_END):
        raise BadRowError(f"its text does not end in {_END!r}", shortened(text[-30:]))
    return messages, thinking, answer.removesuffix(_END)
