"""Values with their intervals, and what they are estimated from. All shares here are of 1, not percent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CONFIDENCE = 0.95

Values = Mapping[str, float]
"""Prompt id to the prompt's value in 0..1: the mean over its repeats that count."""

Groups = Mapping[str, str]
"""Prompt id to a name that rows with the same prompt share; a prompt that is not in it stands for itself."""


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class OverSeeds:
    """A value over seeds: mean, sample standard deviation and the mean's interval; of one seed its own interval."""

    mean: float
    sd: float | None
    low: float
    high: float
    values: tuple[float, ...]

    @property
    def exact(self) -> bool:
        """Whether nothing is estimated, as of the LRM's difference from itself."""
        return self.low == self.high


@dataclass(frozen=True)
class Sample:
    """The prompts that a score was measured on: by benchmark their values, of a difference those of both sides.

    ``unit`` names what was drawn anew for it, such as the LRM seed: samples of one unit are no independent runs.
    """

    first: Mapping[str, Values]
    second: Mapping[str, Values] | None = None
    groups: Groups = field(default_factory=dict)
    unit: str = ""
