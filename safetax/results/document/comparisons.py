"""Comparisons: of evaluations, of judges, and with published figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from safetax.results.document.scores import ComparedScore, Score
from safetax.statistics import Estimate


@dataclass(frozen=True)
class EvaluatedAs:
    """The name of an evaluation and the id of the checkpoint that was evaluated so."""

    name: str
    id: str


@dataclass(frozen=True)
class EvaluationPair:
    """The same weights under two evaluations; ``differences`` are second minus first in points, by metric."""

    first: EvaluatedAs
    second: EvaluatedAs
    differences: Mapping[str, Score]


@dataclass(frozen=True)
class MatchedCheckpoints:
    """Checkpoints that a published row stands beside: one line of ours, over its seeds; scores by measure."""

    model: str
    dataset: str | None
    variant: str
    checkpoints: tuple[str, ...]
    scores: Mapping[str, ComparedScore]


@dataclass(frozen=True)
class MatchedRow:
    """Published figures of one checkpoint in percent, by measure, with what of ours they stand beside."""

    role: str
    dataset: str | None
    epochs: float | None
    origin: str = field(metadata={"key": "from"})
    values: Mapping[str, float]
    ours: tuple[MatchedCheckpoints, ...]


@dataclass(frozen=True)
class MatchedMeasure:
    """What a published figure is; ``keys`` name the scores of a plot that are the same quantity."""

    name: str
    metric: str
    benchmarks: tuple[str, ...]
    judge: str | None
    keys: tuple[str, ...]


@dataclass(frozen=True)
class PublishedSet:
    """A set of published figures beside the results of ``models``."""

    name: str
    title: str
    source: str
    url: str
    note: str
    models: tuple[str, ...]
    measures: Mapping[str, MatchedMeasure]
    rows: tuple[MatchedRow, ...]


@dataclass(frozen=True)
class PairAgreement:
    """Agreement of two judges over ``n`` responses: share of equal labels, and Cohen's kappa; None where undefined."""

    n: int
    agree: float | None
    kappa: Estimate | None


@dataclass(frozen=True)
class Agreement:
    """Agreement of judges on a field of their verdicts, with Krippendorff's alpha over all of them."""

    field: str
    judges: tuple[str, ...]
    prompts: int
    alpha: Estimate | None
    pairs: Mapping[str, PairAgreement]


@dataclass(frozen=True)
class BenchmarkAgreement(Agreement):
    """Agreement of a benchmark's judges over ``checkpoints``; ``metric`` is the score that is made from the field."""

    model: str
    benchmark: str
    metric: str
    checkpoints: int
