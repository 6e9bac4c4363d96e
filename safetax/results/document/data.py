"""Data of a run: what is known of the alignment data, and their perplexity under the LRM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fallback:
    """Rows whose refinement failed: ``kept`` as they were, ``dropped``, of ``n``; ``rate`` in % with its interval."""

    kept: int
    dropped: int
    n: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class AlignmentData:
    """The data that a model was aligned on; see ``alignment_data.data_of``."""

    step: str
    examples: int
    distinct: int
    draw: int | None
    draws: tuple[int, ...]
    fallback: Fallback | None
    refined_from: str | None = None


@dataclass(frozen=True)
class Perplexity:
    """Perplexity under the LRM: by tokens with its interval, and the geometric mean of the samples' own."""

    token: float
    low: float
    high: float
    sample: float
    tokens: int
    samples: int


@dataclass(frozen=True)
class Perplexities:
    """Perplexity of all supervised tokens and of their parts; None for a part that no row has."""

    all: Perplexity
    thinking: Perplexity | None
    answer: Perplexity | None


@dataclass(frozen=True)
class Shift:
    """Distribution shift of alignment data: perplexities as trained on and, of refined data, before that."""

    after: Perplexities | None
    before: Perplexities | None


@dataclass(frozen=True)
class MeasuredShift(Perplexities):
    """The perplexities of a data set under one LRM."""

    step: str
    title: str


@dataclass(frozen=True)
class DataSet:
    """A data step: its counts as its manifest has them and, where they were measured, its perplexities."""

    step: str
    title: str
    summary: Mapping[str, Any]
    shift: tuple[MeasuredShift, ...] = ()
