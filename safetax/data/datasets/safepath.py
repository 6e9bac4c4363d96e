"""SAFEPATH: behind a harmful request the thinking opens with a short safety primer, and nothing else carries loss.

What the model thinks and answers behind the primer is left to it (arXiv 2505.14667). The paper trains this beside
reasoning rows that are retained, which a mixture does; its primer is not ours to copy, so this one is our own.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Annotated

from safetax.config.fields import AtLeast
from safetax.config.messages import show
from safetax.config.needs import Needs
from safetax.data.datasets import BadRowError, DatasetContext, OnBadRow, Row, examples_of
from safetax.data.datasets._derived import DerivedDataset, needs_of_source, rows_of_input
from safetax.errors import ConfigError
from safetax.records import Example


@dataclass(frozen=True, kw_only=True)
class Config(DerivedDataset):
    """The first ``limit`` rows of ``source`` (all when None) with thinking that begins with ``primer`` and ends there.

    It goes with formats that have thinking.
    """

    primer: str = "Let's think about safety first."
    limit: Annotated[int, AtLeast(1)] | None = None
    on_bad_row: OnBadRow = "error"

    def __post_init__(self) -> None:
        """Check that there is a primer to learn."""
        if not self.primer.strip():
            raise ConfigError(f"primer={show(self.primer)} is empty, so no token would carry loss; write a sentence.")


def needs(config: Config) -> Needs:
    """Return how many rows it makes, and how long they are: what its source says of them."""
    return needs_of_source(config, config.limit)


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Build the training examples; they keep the rows' ids, messages and meta.

    Raises:
        UserError: a row does not end in a request, or there are none.
    """
    sources = rows_of_input(context)[: config.limit]

    def primed(index: int, _: Row) -> Example:
        source = sources[index]
        if not source.messages or source.messages[-1]["role"] != "user":
            raise BadRowError("its last message is not the user's", source.id)
        return replace(source, thinking=config.primer, answer=None, supervised="thinking_start")

    return examples_of(((index, asdict(source)) for index, source in enumerate(sources)), primed, config, context)
