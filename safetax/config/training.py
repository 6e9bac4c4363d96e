"""The schema of a training stage: hyper-parameters, adapters, and what batches and devices must have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Annotated, Literal

from safetax.config.components import DatasetConfig, ObjectiveConfig
from safetax.config.fields import AtLeast, Between, HashedUnless, Kind, MoreThan
from safetax.config.messages import show
from safetax.config.runtime import Count, Runtime, Share
from safetax.errors import ConfigError

Epochs = Annotated[float, Between(0, 10_000)]


Seed = Annotated[int, Between(0, 2**31 - 1)]


PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear layers of a decoder block in the models of the presets."""


def exact(value: float) -> Fraction:
    """Return the number that a setting was written as: 1.1 epochs of 50 steps are 55, and 1.1 * 50 is above it."""
    return Fraction(str(value))


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters in place of full fine-tuning; they are merged into the weights when the model is saved."""

    rank: Count = 16
    alpha: Annotated[float, MoreThan(0)] = 16.0
    dropout: Share = 0.0
    target_modules: list[str] = field(default_factory=lambda: list(PROJECTIONS))

    def __post_init__(self) -> None:
        """Check that there is something to adapt."""
        if not self.target_modules:
            raise ConfigError(f"target_modules=[] adapts nothing; name linear layers, such as {show(PROJECTIONS)}.")


@dataclass(frozen=True)
class Training:
    """Hyper-parameters of one supervised fine-tuning; all of them are part of the checkpoint's identity."""

    epochs: Epochs
    learning_rate: Annotated[float, MoreThan(0)]
    global_batch: Count
    """Examples per optimiser step, whatever the number of devices."""
    max_tokens: Count
    """Longest example in tokens; a longer one is a bad row."""
    optimizer: Literal["adamw", "muon_adamw"] = "adamw"
    muon_learning_rate: Annotated[float, MoreThan(0)] | None = None
    betas: list[Share] = field(default_factory=lambda: [0.9, 0.95])
    weight_decay: Annotated[float, AtLeast(0)] = 0.0
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: Share = 0.0
    max_grad_norm: Annotated[float, MoreThan(0)] | None = 1.0
    loss_mean: Annotated[Literal["tokens", "rows"], HashedUnless("tokens")] = "tokens"
    """What the loss of a global batch is a mean over: its supervised tokens; or its rows, each being the mean over its
    own tokens, so that short ones count as much as long ones."""
    dtype: Literal["float32", "bfloat16", "bfloat16_mixed"] = "float32"
    """``bfloat16``: weights, gradients, optimizer states and arithmetic; ``bfloat16_mixed``: arithmetic alone, over
    float32 master weights."""
    lora: Annotated[Lora | None, HashedUnless(None)] = None
    objective: Annotated[Annotated[ObjectiveConfig, Kind("objectives")] | None, HashedUnless(None)] = None
    """What is minimised beside the cross-entropy; null: nothing."""

    def __post_init__(self) -> None:
        """Check what no single field can: the two rates of Muon, the two betas of Adam."""
        if (self.optimizer == "muon_adamw") != (self.muon_learning_rate is not None):
            raise ConfigError(
                f"muon_learning_rate={show(self.muon_learning_rate)} does not go with optimizer={self.optimizer}: set "
                "a rate for optimizer=muon_adamw, and null for adamw."
            )
        if len(self.betas) != 2:
            raise ConfigError(
                f"betas={show(self.betas)} has {len(self.betas)} values; allowed are two, such as [0.9,0.95]."
            )
        if any(beta >= 1 for beta in self.betas):
            raise ConfigError(f"betas={show(self.betas)}: each must be below 1, such as [0.9,0.95].")


@dataclass(frozen=True)
class TrainingStage:
    """A training stage: its data and its hyper-parameters."""

    dataset: Annotated[DatasetConfig, Kind("datasets")]
    training: Training


def check_batch(stage: str, key: str, training: Training, runtime: Runtime) -> None:
    """Raise ConfigError unless devices and micro batch divide the global batch, and ZeRO steps the optimizer."""
    distributed = stage in runtime.distributed
    if distributed and runtime.zero and training.optimizer != "adamw":
        raise ConfigError(
            f"{key}.optimizer={training.optimizer} does not go with runtime.zero={runtime.zero}: DeepSpeed would leave "
            f"it without a step; allowed is adamw. Or set runtime.zero=0, or take {stage} out of runtime.distributed."
        )
    devices = runtime.devices if distributed else 1
    share, rest = divmod(training.global_batch, devices)
    if rest:
        raise ConfigError(
            f"{key}.global_batch={training.global_batch} is not divisible by runtime.devices={devices}; "
            f"allowed are multiples of {devices}."
        )
    if runtime.micro_batch is not None and share % runtime.micro_batch:
        divisors = ", ".join(str(n) for n in range(1, share + 1) if share % n == 0)
        raise ConfigError(
            f"runtime.micro_batch={runtime.micro_batch} does not divide {key}.global_batch={training.global_batch} "
            f"over {devices} device{'s' * (devices > 1)}; allowed are {divisors}."
        )
