"""Prompts made of the rows of another data set by a template: to have them rewritten, or answered under steering."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from safetax.config.components import DatasetConfig
from safetax.config.fields import Kind, Label
from safetax.config.messages import show
from safetax.config.needs import Needs, needs_of
from safetax.data.datasets import DatasetContext
from safetax.errors import ConfigError
from safetax.records import Example, read_records

SLOTS = ("question", "thinking", "answer")
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Config:
    """The rows of ``source``, each asked as ``template`` with its own ``{question}``, ``{thinking}``, ``{answer}``.

    The question is the row's last user turn; ``system`` is put before the whole.
    """

    kind: str
    name: Annotated[str, Label()]
    source: Annotated[DatasetConfig, Kind("datasets")]
    template: str = "{question}"
    system: str | None = None

    def __post_init__(self) -> None:
        """Check that the template names what rows have."""
        unknown = [name for name in slots_of(self.template) if name not in SLOTS]
        if unknown:
            raise ConfigError(
                f"template={show(self.template)} names {{{unknown[0]}}}; allowed are "
                f"{', '.join(f'{{{name}}}' for name in SLOTS)}."
            )


def needs(config: Config) -> Needs:
    """Return how many rows it makes, and how long they are: what its source says of them."""
    source = needs_of("datasets", config.source)
    return Needs(rows=source.rows, row_tokens=source.row_tokens)


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Build the prompts; they keep the rows' ids and meta."""
    rows = read_records(context.inputs["source"] / "examples.jsonl", Example)
    return [_asked(config, row) for row in rows]


def _asked(config: Config, row: Example) -> Example:
    values = {"question": question_of(row), "thinking": row.thinking or "", "answer": row.answer or ""}
    turn = {"role": "user", "content": filled(config.template, values)}
    system = [] if config.system is None else [{"role": "system", "content": config.system}]
    return replace(row, messages=[*system, turn], thinking=None, answer=None, supervised="turn")


def question_of(row: Example) -> str:
    """Return the text of a row's last user turn."""
    return next(message["content"] for message in reversed(row.messages) if message["role"] == "user")


def slots_of(template: str) -> list[str]:
    """Return the names of a template's slots."""
    return _SLOT.findall(template)


def filled(template: str, values: Mapping[str, Any]) -> str:
    """Return a template with its slots filled, white space around the values left out; other braces stay."""
    return _SLOT.sub(lambda slot: str(values[slot[1]]).strip() if slot[1] in values else slot[0], template)
