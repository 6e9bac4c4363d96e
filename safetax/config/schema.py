"""The schema of a run: every node of the configuration tree below ``conf/``.

What a node may hold stands here and nowhere else; :mod:`safetax.config.build` turns composed YAML into these classes
and reports whatever does not fit. Components with several kinds (data sets, judges, engines) own their schema, in the
module that their ``kind`` names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from safetax.config.components import ComponentConfig, DatasetConfig, EngineConfig, JudgeConfig, RowsConfig
from safetax.config.fields import AtLeast, Between, HashedUnless, Kind, Label, MoreThan, NotHashed
from safetax.config.messages import show
from safetax.config.runtime import Count, Runtime
from safetax.config.training import Epochs, Seed, Training, TrainingStage, check_batch
from safetax.errors import ConfigError


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder, from which memory is estimated before anything is loaded."""

    layers: Count
    hidden: Count
    intermediate: Count
    heads: Count
    kv_heads: Count
    head_dim: Count
    vocabulary: Count
    tied: bool = False
    """Whether the output embedding is the input embedding."""


@dataclass(frozen=True)
class Model:
    """The starting model: a checkpoint of the hub or the disk, or a random start that is pre-trained first."""

    name: Annotated[str, Label()]
    start: Literal["pretrained", "random"] = "pretrained"
    id: str | None = None
    """Hub id or local folder of a pre-trained model."""
    revision: str | None = None
    """Branch, tag or commit; resolved to a commit before anything is planned."""
    reasoning: bool = False
    """Whether it is a reasoning model already, so that no reasoning stage is trained."""
    architecture: dict[str, Any] = field(default_factory=dict)
    """For a random start: a transformers config, ``model_type`` included."""
    tokenizer: Literal["own", "lab"] = "own"
    world: Annotated[Literal["lab", "real"], NotHashed()] = "real"
    """``lab``: hyper-parameters and budgets of the lab fit it; ``real``: it takes none of them unless chosen."""
    pad_token: Annotated[str | None, HashedUnless(None)] = None
    """Used where the tokenizer knows it, else the tokenizer's own."""
    pretraining: TrainingStage | None = None
    parameters: Annotated[float | None, NotHashed(), MoreThan(0)] = None
    """How many parameters it has, in billions."""
    context: Annotated[int | None, NotHashed(), AtLeast(1)] = None
    """Longest sequence in tokens."""
    shape: Annotated[Shape | None, NotHashed()] = None
    """Read from the model's own configuration where null."""
    licence: Annotated[str | None, NotHashed()] = None
    gated: Annotated[bool, NotHashed()] = False
    """Whether the hub asks for accepted terms and a token."""

    def __post_init__(self) -> None:
        """Check that the start has what it needs."""
        if self.start == "pretrained" and not self.id:
            raise ConfigError("id=null does not go with start=pretrained: set a hub id or a local folder.")
        if self.start == "random" and not self.architecture.get("model_type"):
            raise ConfigError("architecture has no model_type, which start=random needs: set architecture.model_type.")
        if self.start == "random" and self.pretraining is None:
            raise ConfigError("pretraining=null does not go with start=random: name its dataset and training.")
        if self.start == "random" and self.tokenizer == "own":
            raise ConfigError("tokenizer=own does not go with start=random; allowed is lab.")


@dataclass(frozen=True)
class Format:
    """Chat template and thinking markup; the same for training and evaluation.

    A training row is the template's prompt, then ``open_thinking``, ``before_thinking``, the thinking,
    ``close_thinking`` and the answer, and the template's end of the turn.
    """

    name: Annotated[str, Label()]
    open_thinking: str = ""
    """The prompt's end, behind which the model thinks; empty: the format has no thinking."""
    close_thinking: str = ""
    """Between thinking and answer in training rows, and where thinking is suppressed."""
    before_thinking: str = ""
    """White space that the model itself writes between ``open_thinking`` and its first word."""
    stop_thinking: str = ""
    """What ends the thinking when it is generated; empty: ``close_thinking``."""
    resume_answer: str = ""
    """Put in place of ``stop_thinking`` behind thinking that the model ended; empty: ``stop_thinking`` as written."""
    force_answer: str = ""
    """Put behind thinking that the budget cut, without its first line end where the thinking ends in one; empty:
    ``close_thinking``."""
    keep_whitespace: bool = False
    """Whether white space around thinking and answer stays as the data have it; else both are stripped."""
    template: Literal["own", "chatml"] = "own"
    """``own``: the tokenizer's chat template; ``chatml``: the template of the Qwen2.5 family, for any tokenizer."""
    system: str | None = None
    """System message of ``chatml`` where a conversation has none."""
    answer_prefix: Annotated[str, NotHashed()] = ""
    """What published recipes put before an answer in this format; part of the identity of the data that refer to it."""

    def __post_init__(self) -> None:
        """Check that thinking that opens also closes, and that a system message has its template."""
        if bool(self.open_thinking) != bool(self.close_thinking):
            raise ConfigError(
                f"open_thinking={show(self.open_thinking)} and close_thinking={show(self.close_thinking)}: set both, "
                "or leave both empty for a format without thinking."
            )
        if self.system is not None and self.template == "own":
            raise ConfigError(
                f"system={show(self.system)} does not go with template=own, which has its own; set template=chatml."
            )


@dataclass(frozen=True)
class Stage:
    """How far a run goes."""

    name: Literal["prefetch", "prepare", "original", "reasoning", "alignment"]

    @property
    def whole(self) -> bool:
        """Whether the plan goes all the way; ``prefetch`` runs the part of it that wants a network."""
        return self.name in ("alignment", "prefetch")


@dataclass(frozen=True)
class Benchmark:
    """A prompt set and what is measured on it."""

    prompts: Annotated[ComponentConfig, Kind("datasets")]
    measures: Literal["accuracy", "harmful", "benign"]
    headline: bool = True
    """Whether it counts in the checkpoint's headline scores."""
    thinking: bool = True
    """False suppresses the thinking."""
    repeats: Count = 1
    """Responses per prompt."""
    size: Annotated[Count | None, NotHashed()] = None
    """Prompts of the published set, from which hours are estimated until it is there."""
    grader: Annotated[JudgeConfig, Kind("judges")] | None = None
    """Grades an accuracy benchmark; the judges of the run judge the others."""
    reference: Annotated[ComponentConfig, Kind("datasets")] | None = None
    """Worked traces of problems like the prompts, which each checkpoint is asked how likely it finds; null: none."""

    def __post_init__(self) -> None:
        """Check that accuracy has a grader, and nothing else has."""
        if (self.measures == "accuracy") != (self.grader is not None):
            raise ConfigError(
                f"grader={'null' if self.grader is None else self.grader.kind} does not go with "
                f"measures={self.measures}: accuracy needs a grader, the others are judged by judge=..."
            )


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a response is generated."""

    thinking_budget: Annotated[int, AtLeast(0)]
    """Tokens of thinking after which an answer is forced; 0 is no thinking at all."""
    answer_budget: Count
    """Tokens of the answer."""
    temperature: Annotated[float, AtLeast(0)] = 0.0
    """0 is greedy."""
    top_p: Annotated[float, Between(0, 1, open_low=True)] = 1.0
    one_phase: bool = False
    """Thinking and answer are one text of at most ``thinking_budget`` tokens, and no answer is forced."""
    assistant_header: bool = True
    """Whether the prompt has the header of the assistant's turn."""
    ignore_end: Annotated[int, AtLeast(0)] = 0
    """How often the end of the thinking is ignored, and ``go_on`` put in its place."""
    go_on: str = "Wait"


@dataclass(frozen=True, kw_only=True)
class Evaluation(Sampling):
    """How responses are generated for evaluation, and who grades reasoning."""

    name: Annotated[str, Label()]
    safety: Sampling | None = None
    """For harmful and benign prompts; null: as for reasoning."""
    grader: Annotated[JudgeConfig, Kind("judges")] | None = None
    """The grader that benchmarks take who refer to it."""
    retention_temperature: Annotated[float, MoreThan(0)] | None = None
    """Temperature at which retention is the probability of whole traces; null: these are too long to have one."""


@dataclass(frozen=True)
class Hub:
    """What is pushed to the hub when a run is done; the token comes from the environment. No part of any identity."""

    push_dataset: str | None = None
    """Repository for the alignment data."""
    push_model: str | None = None
    """Repository for the aligned model, or the LRM where that is the last."""
    private: bool = True


@dataclass(frozen=True)
class Config:
    """One run."""

    model: Model
    format: Format
    stage: Stage
    dataset: Annotated[DatasetConfig, Kind("datasets")]
    """Data of the alignment stage."""
    reasoning: TrainingStage
    alignment: Training
    engine: Annotated[EngineConfig, Kind("engines")]
    evaluation: Evaluation
    runtime: Runtime
    benchmark: dict[str, Benchmark] = field(default_factory=dict)
    judge: dict[str, Annotated[JudgeConfig, Kind("judges")]] = field(default_factory=dict)
    world: dict[str, Annotated[RowsConfig, Kind("rows")]] = field(default_factory=dict)
    """Where the raw rows of each data set come from; data sets refer to it."""
    lab: Annotated[dict[str, Any], NotHashed()] = field(default_factory=dict)
    """What fits the lab alone, which defaults refer to (:mod:`safetax.config.lab_defaults`)."""
    recipes: Annotated[dict[str, Any], NotHashed()] = field(default_factory=dict)
    """What data sets that the model writes, or that are mixed, are made of; they refer to it."""
    method: Annotated[str | None, Label()] = None
    """What tables and plots call the run; null: its data set's name."""
    epochs: Epochs = 5.0
    """Epochs of the alignment stage; 0 evaluates the LRM as it is."""
    seed: Seed = 0
    """Seed of the alignment stage and of sampling."""
    lrm_seed: Seed = 0
    """Seed of the reasoning stage."""
    base_seed: Seed = 0
    """Seed of what comes before it: pre-training, where a model starts from nothing, and the lab's world."""
    interpolation: Annotated[float, Between(0, 1)] | None = None
    """Evaluates weights between the LRM's (0) and the aligned ones (1) in place of the aligned ones."""
    shift: bool = False
    """Whether the perplexity of the alignment data under the LRM is measured."""
    retention: bool = True
    """Whether each checkpoint is asked how likely it finds the LRM's own correct traces."""
    tracking: Literal["mlflow", "off"] = "mlflow"
    hub: Hub = field(default_factory=Hub)
    published: str | None = None
    """Published figures that report and plots show beside the run's own: a file of safetax/results/published."""
    categories: Annotated[str | None, NotHashed()] = None
    """Name in the prompts' meta by which the report shows harmful scores apart, such as ``category``."""
    note: Annotated[str, NotHashed()] = ""
    """Shown wherever the run's figures stand."""
    plan: bool = False
    """Print what would run, and run nothing."""

    def __post_init__(self) -> None:
        """Check what no single node can: epochs, batches against devices, judges against benchmarks."""
        if self.alignment.epochs != self.epochs:
            raise ConfigError(
                f"alignment.epochs={self.alignment.epochs:g} does not go with epochs={self.epochs:g}: set epochs, "
                "which the alignment stage follows."
            )
        for stage, key, training in self.trainings():
            check_batch(stage, key, training, self.runtime)
        if not self.benchmark:
            raise ConfigError(
                "benchmark=[] leaves nothing to evaluate: name at least one, as benchmark=[lab_reasoning]."
            )
        if any(benchmark.measures != "accuracy" for benchmark in self.benchmark.values()) and not self.judge:
            raise ConfigError(
                "judge=[] leaves the safety benchmarks without a judge: name at least one, as judge=[lab]."
            )

    def trainings(self) -> list[tuple[str, str, Training]]:
        """Return the trainings of this run: stage, key of the hyper-parameters, hyper-parameters."""
        trainings = [
            ("reasoning", "reasoning.training", self.reasoning.training),
            ("alignment", "alignment", self.alignment),
        ]
        if self.model.pretraining is not None:
            trainings.insert(0, ("pretraining", "model.pretraining.training", self.model.pretraining.training))
        return trainings
