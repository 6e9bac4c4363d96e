"""Several data sets as one, such as safety data with a share of the reasoning data replayed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import Annotated, Any

from safetax.config.components import DatasetConfig
from safetax.config.fields import Kind, Label, MoreThan
from safetax.config.messages import nearest, show
from safetax.config.training import exact
from safetax.data.datasets import DatasetContext
from safetax.data.datasets._derived import rows_of_input
from safetax.errors import ConfigError, UserError
from safetax.records import Example


@dataclass(frozen=True)
class Config:
    """All rows of the ``parts``; of a part with a ratio, that many for each row of the parts without one.

    Which rows of such a part are taken is drawn by ``seed``.
    """

    kind: str
    name: Annotated[str, Label()]
    parts: dict[str, Annotated[DatasetConfig, Kind("datasets")]]
    ratios: dict[str, Annotated[float, MoreThan(0)]] = field(default_factory=dict)
    seed: int = 0
    meta: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Added to the meta of a part's rows, such as ``benign: {harmful: false}``."""

    def __post_init__(self) -> None:
        """Check that there are parts, that ratios are of parts, and that they are ratios to something."""
        if not self.parts:
            raise ConfigError("parts={} names nothing to mix: add parts such as parts.safety and parts.reasoning.")
        for key, named in (("ratios", self.ratios), ("meta", self.meta)):
            for name, value in named.items():
                if name not in self.parts:
                    raise ConfigError(
                        f"{key}.{name}={show(value)}: there is no such part.{nearest(name, self.parts)} Allowed are "
                        f"{', '.join(self.parts)}."
                    )
        if set(self.ratios) == set(self.parts):
            raise ConfigError("ratios: every part has one, so there is nothing to be a ratio of; leave one part out.")


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Put the parts behind each other; ``meta["mixture"]`` names a row's part, and the summary counts them.

    Raises:
        UserError: a part has fewer rows than its ratio asks for.
    """
    parts = {name: rows_of_input(context, f"parts.{name}") for name in config.parts}
    whole = sum(len(rows) for name, rows in parts.items() if name not in config.ratios)
    mixed = []
    for name, rows in parts.items():
        if name in config.ratios:
            rows = _drawn(config, name, rows, round(exact(config.ratios[name]) * whole))
        context.summary.setdefault("parts", {})[name] = len(rows)
        mixed += [
            replace(row, id=f"{name}-{row.id}", meta={**row.meta, **config.meta.get(name, {}), "mixture": name})
            for row in rows
        ]
    return mixed


def _drawn(config: Config, name: str, rows: list[Example], count: int) -> list[Example]:
    if not 1 <= count <= len(rows):
        raise UserError(
            f"dataset {config.name}: ratios.{name}={config.ratios[name]:g} asks for {count} rows of {name}, which has "
            f"{len(rows)}; allowed is a ratio that gives 1 to {len(rows)}."
        )
    return Random(f"mixture {config.seed} {name}").sample(rows, count)
