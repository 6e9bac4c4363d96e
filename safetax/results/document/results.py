"""The whole document."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from safetax.results.document.checkpoints import Checkpoint, Curve, CurvePoint
from safetax.results.document.comparisons import BenchmarkAgreement, EvaluationPair, PublishedSet
from safetax.results.document.data import DataSet


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
