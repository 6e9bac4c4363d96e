"""Checkpoints with their benchmarks, and curves over their alignment epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from safetax.formatting import epochs_in_words
from safetax.results.document.data import AlignmentData, Perplexities, Perplexity, Shift
from safetax.results.document.scores import CountedEstimate, JudgeScores, PointScore, Score


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


_OF_ALIGNED: Any = {"always": lambda checkpoint: checkpoint.role == "aligned"}


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
    """What ``low`` and ``high`` are: "seeds" (their range) or "interval" (of one seed)."""
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
