"""The results document: what ``results.json`` holds, as frozen data classes (see ``codec`` for how it is written)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from safetax.formatting import epochs_in_words
from safetax.results.agreement import BenchmarkAgreement
from safetax.results.alignment_data import AlignmentData, DataSet, Perplexities, Perplexity, Shift
from safetax.results.codec import UNWRITTEN
from safetax.results.published_figures import PublishedSet
from safetax.statistics import Estimate, OverSeeds, Sample


@dataclass(frozen=True)
class CountedEstimate(Estimate):
    """A share in percent with its interval, over ``n`` prompts (or rows)."""

    n: int


@dataclass(frozen=True)
class Score(CountedEstimate):
    """A metric of one checkpoint in percent, or a difference of two in points.

    ``truncated`` counts responses that a budget cut, ``errors`` verdicts that stand in no score, ``broken`` answers
    that are garbage (None: not known, of scores that earlier versions made); ``interval`` names how the interval was
    made (see ``metrics.INTERVALS``). Where prompts repeat across rows, ``n`` counts rows, and ``unique`` is the score
    over distinct prompts. ``p`` is the two-sided p-value of a difference of 0, by the same interval; ``sample`` is what
    all of it was made from.
    """

    truncated: int
    errors: int
    interval: str
    unique: CountedEstimate | None = None
    broken: int | None = None
    p: float | None = None
    sample: Sample | None = field(default=None, metadata=UNWRITTEN, repr=False, compare=False)


@dataclass(frozen=True)
class PointScore(OverSeeds):
    """A score over seeds; ``n`` counts the prompts of each, the other counts are summed over them.

    ``p`` is the two-sided p-value of a mean difference of 0, by the interval.
    """

    n: tuple[int, ...]
    truncated: int
    errors: int
    broken: int | None = None
    p: float | None = None


@dataclass(frozen=True)
class JudgeScores:
    """What one judge says of a checkpoint's responses to a benchmark, by metric."""

    scores: Mapping[str, Score]
    errors: int
    unresolved: int = 0
    """Verdicts of a grader that found no answer to grade."""
    part: str | None = None
    broken: int | None = None


@dataclass(frozen=True)
class EvaluationSteps:
    """Fingerprints of the steps of one benchmark on one checkpoint; ``scores`` by judge."""

    prompts: str
    generate: str
    scores: Mapping[str, str]


@dataclass(frozen=True)
class Benchmark:
    """One benchmark on one checkpoint: its judges' scores, and counts of prompts, responses and tokens."""

    measures: str
    headline: bool
    thinking: bool
    judge: str
    """The judge whose scores are the headline's."""
    judges: Mapping[str, JudgeScores]
    n: int
    responses: int
    truncated: int
    truncation_rate: float
    mean_tokens: float
    steps: EvaluationSteps
    n_unique: int | None = None

    @property
    def judged(self) -> JudgeScores:
        """What the headline's judge says."""
        return self.judges[self.judge]


_OF_ALIGNED: Any = {"written": lambda checkpoint: checkpoint.role == "aligned"}


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint as it was evaluated in one way; several runs may share it."""

    id: str
    role: str
    model: str
    dataset: str | None
    variant: str
    """What tells it apart from its like, such as ``alignment.learning_rate=0.0001``."""
    evaluation: str | None
    weights: str
    epochs: float | None
    seed: int | None
    lrm_seed: int
    lrm: str | None
    """Id of the LRM that it was aligned from."""
    benchmarks: Mapping[str, Benchmark]
    scores: Mapping[str, Score]
    """Headline scores, by metric."""
    series: str | None = None
    interpolation: float | None = None
    """Share of the aligned model's weights, the rest being the LRM's."""
    method: str | None = field(default=None, metadata=_OF_ALIGNED)
    data: AlignmentData | None = field(default=None, metadata=_OF_ALIGNED)
    shift: Shift | None = field(default=None, metadata=_OF_ALIGNED)
    recipe: str | None = field(default=None, metadata=_OF_ALIGNED)
    """Hash of how it was trained, not on what."""
    categories: Mapping[str, Mapping[str, CountedEstimate]] = field(default_factory=dict)
    """Harmful score by benchmark and category of the prompt."""
    trained_on: tuple[str, ...] | None = None
    """Categories that its alignment data were chosen by."""

    @property
    def name(self) -> str:
        """What a person calls it: the data set, or what it is where it has none, with its variant."""
        name = {"base": "base model", "lrm": "LRM"}.get(self.role) or str(self.dataset)
        return f"{name} ({self.variant})" if self.variant else name

    @property
    def long_name(self) -> str:
        """The name with the epochs."""
        return f"{self.name}, {epochs_in_words(self.epochs)}" if self.epochs else self.name

    def perplexities(self, when: Literal["after", "before"]) -> dict[str, Perplexity]:
        """Return the perplexity of each part that its data have, as trained on or before their refinement."""
        measured: Perplexities | None = getattr(self.shift, when, None)
        return {name: part for name, part in vars(measured).items() if part} if measured else {}

    def perplexity(self, when: Literal["after", "before"] = "after") -> Perplexity | None:
        """Return the perplexity of all supervised tokens of its data."""
        return self.perplexities(when).get("all")


@dataclass(frozen=True)
class CurvePoint:
    """The checkpoints of a curve at one epoch count; their scores over seeds."""

    epochs: float
    seeds: tuple[tuple[int, ...], ...]
    """Of each checkpoint the alignment seed, the LRM seed and, where data were drawn, the draws."""
    checkpoints: tuple[str, ...]
    bars: str
    """What ``low`` and ``high`` are the interval of: "seeds" (of their mean) or "interval" (of one seed)."""
    scores: Mapping[str, PointScore]


@dataclass(frozen=True)
class Curve:
    """One data set and variant of a model over alignment epochs; the LRM is its point at epoch 0."""

    model: str
    dataset: str
    variant: str
    label: str
    points: tuple[CurvePoint, ...]
    series: str | None = None
    interpolation: float | None = None


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
class RunEntry:
    """A run, and the ids of its checkpoints."""

    name: str
    id: str | None
    stage: str | None
    model: str
    dataset: str | None
    epochs: float | None
    seed: int | None
    lrm_seed: int | None
    world: str | None
    checkpoints: tuple[str, ...]


@dataclass(frozen=True)
class Results:
    """All results of some runs."""

    schema: int
    confidence: float
    checkpoints: tuple[Checkpoint, ...]
    curves: tuple[Curve, ...]
    evaluations: tuple[EvaluationPair, ...]
    published: tuple[PublishedSet, ...]
    agreement: tuple[BenchmarkAgreement, ...]
    data: tuple[DataSet, ...]
    runs: tuple[RunEntry, ...]
    replaced: tuple[str, ...] = ()
    """Names of runs that newer ones of the same settings replace."""
    left_out: int = 0
    """Curves on fewer samples that a view of the results leaves out; the document itself leaves out none."""

    @cached_property
    def by_id(self) -> dict[str, Checkpoint]:
        """The checkpoints by id."""
        return {checkpoint.id: checkpoint for checkpoint in self.checkpoints}

    @cached_property
    def models(self) -> list[str]:
        """The names of the models, in the order of the checkpoints."""
        return list(dict.fromkeys(checkpoint.model for checkpoint in self.checkpoints))

    def of(self, point: CurvePoint) -> list[Checkpoint]:
        """Return the checkpoints of a curve's point."""
        return [self.by_id[identity] for identity in point.checkpoints]
