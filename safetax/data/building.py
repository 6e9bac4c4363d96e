"""Build a data set's examples: the one place where those of every kind are checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safetax.config.components import calling, component_module, component_name
from safetax.config.identity import restore
from safetax.config.plugins import checked_examples
from safetax.data.datasets import BadRowError, DatasetContext, OnBadRow, examples_of
from safetax.data.lab.tokenizer import check_words
from safetax.data.marks import without_marks
from safetax.records import Example


@dataclass(frozen=True)
class _Named:
    """What messages need to know of a data set, whose kind may have no such settings."""

    name: str
    on_bad_row: OnBadRow


def build_examples(
    identity: Mapping[str, Any], context: DatasetContext, trained: bool = False, vocabulary: str | None = None
) -> list[Example]:
    """Build the examples of a data set.

    Args:
        identity: of the data set.
        context: inputs and facts; takes the counts of rows that are left out in.
        trained: whether they are trained on, so that each needs an answer.
        vocabulary: ``lab``, where the lab's models are to be trained on them.

    Raises:
        UserError: its rows cannot be read or used.
    """
    config = restore("datasets", identity)
    with calling("datasets", config.kind):
        module = component_module("datasets", config.kind)
        built = module.build(config, context)
        empty = getattr(module, "MAY_BE_EMPTY", False)
        examples = checked_examples(built, component_name("datasets", config.kind), trained, empty)
    name = getattr(config, "name", config.kind)
    named = _Named(name, "skip" if identity.get("on_bad_row") == "skip" else "error")
    rows = ((index, {"example": example}) for index, example in enumerate(examples))
    examples = examples_of(rows, lambda _, row: _unmarked(row["example"]), named, context, empty)
    if vocabulary == "lab":
        check_words(examples, name)
    return examples


def _unmarked(example: Example) -> Example:
    """Return an example without the marks at the ends of its texts. Raises BadRowError where there are others."""
    try:
        return without_marks(example)
    except ValueError as error:
        raise BadRowError(str(error), example.id) from None
