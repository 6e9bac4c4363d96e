"""Scores: of a checkpoint, over seeds, and beside published figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from safetax.statistics import Estimate, OverSeeds


@dataclass(frozen=True)
class CountedEstimate(Estimate):
    """A share in percent with its interval, over ``n`` prompts (or rows)."""

    n: int


@dataclass(frozen=True)
class Score(CountedEstimate):
    """A metric of one checkpoint in percent, or a difference of two in points.

    ``truncated`` counts responses that a budget cut, ``errors`` verdicts that stand in no score; ``interval`` names how
    the interval was made (see ``metrics.INTERVALS``). Where prompts repeat across rows, ``n`` counts rows, and
    ``unique`` is the score over distinct prompts.
    """

    truncated: int
    errors: int
    interval: str
    unique: CountedEstimate | None = None


@dataclass(frozen=True)
class PointScore(OverSeeds):
    """A score over seeds; ``n`` counts the prompts of each, ``truncated`` and ``errors`` are summed over them."""

    n: tuple[int, ...]
    truncated: int
    errors: int


@dataclass(frozen=True)
class JudgeScores:
    """What one judge says of a checkpoint's responses to a benchmark, by metric.

    ``unresolved`` counts verdicts of a grader that found no answer to grade; ``part`` is "thinking" where the judge
    reads that alone.
    """

    scores: Mapping[str, Score]
    errors: int
    unresolved: int = 0
    part: str | None = None


@dataclass(frozen=True)
class ComparedScore(Estimate):
    """Our score beside a published one: of one checkpoint with its interval, of several mean and range."""

    n: tuple[int, ...]
