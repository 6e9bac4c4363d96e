"""Prompts made of the rows of another data set by a template: to have them rewritten, or answered under steering."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from safetax.config.messages import show
from safetax.data.datasets import DatasetContext
from safetax.data.datasets._derived import DerivedDataset, needs_of_source, rows_of_input
from safetax.errors import ConfigError
from safetax.records import Example

SLOTS = ("question", "thinking", "answer")
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, kw_only=True)
class Config(DerivedDataset):
    """The rows of ``source``, each asked as ``template`` with its own ``{question}``, ``{thinking}``, ``{answer}``.

    The question is the row's last user turn; ``system`` is put before the whole.
    """

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


needs = needs_of_source


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Build the prompts; they keep the rows' ids and meta."""
    return [_asked(config, row) for row in rows_of_input(context)]


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
