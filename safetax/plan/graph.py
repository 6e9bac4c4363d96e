"""The graph of a sweep: the runs of a plan, the checkpoints of a run, and the steps that they consist of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from safetax.config.schema import Benchmark, Config
from safetax.store.step import Step, fingerprint_of, in_order

Role = Literal["base", "lrm", "aligned"]


@dataclass(frozen=True)
class Resolved:
    """A configuration and what was found out about the world, by key path."""

    config: Config
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Evaluated:
    """One benchmark of one checkpoint: its steps, and the score step of each judge."""

    benchmark: str
    config: Benchmark
    prompts: Step
    generate: Step
    scores: dict[str, Step]
    readings: dict[str, Step] = field(default_factory=dict)
    """How likely the checkpoint finds traces: the LRM's ``own`` correct ones, and the benchmark's ``reference``."""


@dataclass(frozen=True)
class PlannedCheckpoint:
    """A model that is evaluated; ``train`` is None where it is the starting model as it is."""

    role: Role
    train: Step | None
    evaluations: list[Evaluated]
    merge: Step | None = None
    """What mixes the trained weights with the LRM's, where the mixture is evaluated."""

    @property
    def weights(self) -> Step | None:
        """The step that made the weights which are evaluated."""
        return self.merge or self.train


@dataclass(frozen=True)
class PlannedRun:
    """One run: its configuration, its checkpoints and, through them, its steps."""

    config: Config
    overrides: tuple[str, ...]
    checkpoints: list[PlannedCheckpoint]
    dataset: str | None
    data: dict[str, Step] = field(default_factory=dict)
    """The training data by stage; with ``stage=prepare`` all that there is."""
    shift: dict[str, Step] = field(default_factory=dict)
    """Perplexity under the LRM: of the alignment data (``after``), and of what the LRM refined them from
    (``before``)."""

    @property
    def steps(self) -> list[Step]:
        """All steps of the run, inputs before what uses them."""
        targets = [step for checkpoint in self.checkpoints for step in _targets(checkpoint)]
        return in_order([*self.data.values(), *targets, *self.shift.values()])

    @property
    def id(self) -> str:
        """12 hex digits over what the run evaluates."""
        scores = [
            [checkpoint.role, evaluated.benchmark, judge, step.key]
            for checkpoint in self.checkpoints
            for evaluated in checkpoint.evaluations
            for judge, step in (*evaluated.scores.items(), *evaluated.readings.items())
        ]
        data = [] if self.checkpoints else [step.key for step in self.data.values()]
        shift = [step.key for step in self.shift.values()]
        return fingerprint_of([self.config.stage.name, self.dataset, self.config.epochs, scores, *data, *shift])

    @property
    def name(self) -> str:
        """A readable name, unique by its id; also the name of the run's folder."""
        config = self.config
        parts = [config.model.name]
        if config.stage.whole:
            mixed = any(checkpoint.merge for checkpoint in self.checkpoints)
            share = [f"i{config.interpolation:g}"] if mixed else []
            parts += [self.dataset or "lrm", f"e{config.epochs:g}", *share, f"s{config.seed}"]
        else:
            parts.append(config.stage.name)
        return "-".join([*parts, f"l{config.lrm_seed}", self.id])


@dataclass(frozen=True)
class Plan:
    """All runs of a sweep as one graph."""

    runs: list[PlannedRun]

    @property
    def steps(self) -> list[Step]:
        """All steps, each once, inputs before what uses them."""
        return in_order(step for run in self.runs for step in run.steps)

    @property
    def id(self) -> str:
        """12 hex digits over the runs."""
        return fingerprint_of(sorted(run.id for run in self.runs))


def _targets(checkpoint: PlannedCheckpoint) -> list[Step]:
    scores = [
        step
        for evaluated in checkpoint.evaluations
        for step in (*evaluated.scores.values(), *evaluated.readings.values())
    ]
    return scores or ([checkpoint.weights] if checkpoint.weights else [])


def skips_bad_rows(data: Step) -> bool:
    """Whether bad rows of a data set, or of one that it is made of, are left out."""
    if data.kind != "prepare":
        return False
    made_of = data.inputs.values()
    return data.identity["dataset"].get("on_bad_row") == "skip" or any(skips_bad_rows(step) for step in made_of)
