"""The steps of a stage that are alike, and what they take; what is known of a model and of the GPUs here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetax.config.needs import Needs
from safetax.config.runtime import Runtime
from safetax.config.schema import Config, Model, Shape
from safetax.models.gpus import visible_gpus
from safetax.plan.estimate.memory import GIB, Memory, parameters_in
from safetax.plan.requirements import needs_of_step
from safetax.store.manifest import read_json
from safetax.store.step import Step


@dataclass(frozen=True)
class Estimate:
    """What the steps of one stage take that are alike; sizes in bytes."""

    title: str
    steps: tuple[Step, ...]
    place: str
    memory: Memory
    limit: float
    """Memory of a GPU that may be taken."""
    gpus: int
    hours: float
    """GPU-hours of all the steps."""
    time: str
    """In words what the hours follow from."""
    disk: float = 0.0
    """What stays when the steps are done."""
    scratch: float = 0.0
    """What is there while one of them is at work."""
    remedies: tuple[str, ...] = ()
    """Settings with which it fits, each checked by the same arithmetic."""

    @property
    def fits(self) -> bool:
        """Whether a GPU has that much memory."""
        return self.memory.total <= self.limit


@dataclass(frozen=True)
class EstimatedStep:
    """A step, and where in the run it stands."""

    step: Step
    stage: str
    config: Config
    shape: Shape
    size: int | None = None
    """Prompts of its benchmark, where they are known."""

    @property
    def needs(self) -> Needs:
        """What the component needs that its worker runs."""
        return needs_of_step(self.step)

    @property
    def group(self) -> tuple[Any, ...]:
        """What steps have in common that are shown together."""
        same = (self.step.kind, self.config.model.name, str(sorted(self.step.runtime.items())))
        if self.step.kind == "train":
            training = {key: value for key, value in self.step.identity["training"].items() if key != "epochs"}
            return (*same, self.stage, str(training))
        if self.step.kind == "generate":
            return (*same, str(self.step.identity["engine"]))
        if self.step.kind in ("merge", "perplexity"):
            return (*same, self.step.identity.get("dtype"), "traces" in self.step.identity)
        return (*same, str(self.step.identity["judge"]))


def root_model(manifest: Mapping[str, Any], by_key: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the id of the pre-trained model that a finished step goes back to, or None."""
    at: Mapping[str, Any] | None = manifest
    while at is not None and "model" in at["inputs"]:
        at = by_key.get(at["inputs"]["model"]["step"])
    return ((at or {}).get("identity") or {}).get("model", {}).get("id")


def shape_of(model: Model) -> Shape | None:
    """Return a model's shape: from its configuration here, else from the ``config.json`` of a local folder."""
    if model.shape is not None or model.id is None:
        return model.shape
    return shape_in(Path(model.id).expanduser() / "config.json")


def shape_in(path: Path) -> Shape | None:
    """Return the shape that a ``config.json`` of transformers describes, or None."""
    values = read_json(path) or {}
    try:
        heads = values["num_attention_heads"]
        return Shape(
            layers=values["num_hidden_layers"],
            hidden=values["hidden_size"],
            intermediate=values["intermediate_size"],
            heads=heads,
            kv_heads=values.get("num_key_value_heads") or heads,
            head_dim=values.get("head_dim") or values["hidden_size"] // heads,
            vocabulary=values["vocab_size"],
            tied=bool(values.get("tie_word_embeddings", False)),
        )
    except (KeyError, TypeError):
        return None


def gpu_memory(runtime: Runtime) -> float:
    """Return the bytes of a GPU's memory: as set, else of the smallest that is here, else 80 GiB."""
    if runtime.gpu_memory is not None:
        return runtime.gpu_memory * GIB
    here = [gpu.memory for gpu in visible_gpus() if gpu.memory is not None]
    return min(here, default=80 * GIB)


def named(model: Model, shape: Shape) -> str:
    """Return a model's name with its size."""
    return f"{model.name} ({(model.parameters or parameters_in(shape) / 1e9):.1f} billion parameters)"
