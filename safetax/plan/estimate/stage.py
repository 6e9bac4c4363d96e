"""The steps of a stage that are alike, and what they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safetax.config.needs import Needs
from safetax.config.schema import Config, Shape
from safetax.plan.estimate.memory import Memory
from safetax.plan.requirements import needs_of_step
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
    host: float = 0.0

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
    benchmark: str | None = None

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
            return (*same, self.step.identity.get("dtype"))
        return (*same, str(self.step.identity["judge"]))


def root_model(manifest: Mapping[str, Any], by_key: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the id of the pre-trained model that a finished step goes back to, or None."""
    at: Mapping[str, Any] | None = manifest
    while at is not None and "model" in at["inputs"]:
        at = by_key.get(at["inputs"]["model"]["step"])
    return ((at or {}).get("identity") or {}).get("model", {}).get("id")
