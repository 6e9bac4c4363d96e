"""Published figures in the results document, and what of ours stands beside each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from safetax.results.codec import ALWAYS, UNWRITTEN
from safetax.statistics import Estimate


@dataclass(frozen=True)
class ComparedScore(Estimate):
    """Our score beside a published one: of one checkpoint, or the mean of several, with its interval."""

    n: tuple[int, ...]


@dataclass(frozen=True)
class MatchedCheckpoints:
    """Checkpoints that a published row stands beside: one line of ours, over its seeds; scores by measure."""

    model: str
    dataset: str | None
    variant: str
    checkpoints: tuple[str, ...]
    scores: Mapping[str, ComparedScore]


@dataclass(frozen=True)
class PublishedMeasure:
    """What a published figure is: a metric, the benchmarks whose mean it is (empty: not known), and its judge."""

    name: str
    metric: str
    benchmarks: tuple[str, ...]
    judge: str | None
    keys: tuple[str, ...] = field(default=(), metadata=ALWAYS)
    """The scores of a plot that are the same quantity."""


@dataclass(frozen=True)
class PublishedRow:
    """The published figures of one checkpoint, in percent by measure, with what of ours they stand beside."""

    role: str
    dataset: str | None
    epochs: float | None
    origin: str = field(metadata={"key": "from"})
    """Where they were read: in a "table" or a "figure"."""
    values: Mapping[str, float]
    aliases: tuple[str, ...] = field(default=(), metadata=UNWRITTEN)
    """Further names that a run of the same checkpoint may give its data (``ours`` of the YAML)."""
    ours: tuple[MatchedCheckpoints, ...] = field(default=(), metadata=ALWAYS)


@dataclass(frozen=True)
class PublishedSet:
    """A set of published figures, beside the results of ``models``."""

    name: str
    title: str
    source: str
    url: str
    note: str
    measures: Mapping[str, PublishedMeasure]
    rows: tuple[PublishedRow, ...]
    evaluation: str | None = field(default=None, metadata=UNWRITTEN)
    """The evaluation that follows its protocol, if one does."""
    models: tuple[str, ...] = field(default=(), metadata=ALWAYS)
