"""The tiny graphs that faults are made in: a run, a sweep, and a run of which all is asked at a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
SMALL = (
    "judge=[lab,phrases]",
    "model.pretraining.dataset.samples=32",
    "model.pretraining.training.global_batch=8",
    "model.architecture.hidden_size=32",
    "model.architecture.intermediate_size=64",
    "model.architecture.num_hidden_layers=1",
    "reasoning.dataset.samples=32",
    "reasoning.training.global_batch=8",
    "world.direct_refusal.samples=16",
    "alignment.global_batch=4",
    "epochs=1",
    "benchmark=[lab_harmful]",
    "benchmark.lab_harmful.prompts.samples=4",
    "runtime.threads=1",
    "runtime.workers=1",
    "runtime.checkpoint_minutes=0.001",
)
"""A base model, a reasoning model and an aligned one of a few thousand weights, each asked four prompts."""
SERVED = (
    f"--config-dir={HERE / 'conf'}",
    "stage=original",
    "model.start=pretrained",
    "model.tokenizer=own",
    "model.pretraining=null",
    "model.reasoning=true",
    "engine=openai",
    "engine.model=m",
    "engine.server=other",
    "benchmark=[lab_harmful,served_sums]",
    "benchmark.lab_harmful.prompts.samples=4",
    "judge=[compliance]",
    "tracking=off",
    "runtime.threads=1",
    "runtime.requests=4",
    "++runtime.endpoints.default.retries=1",
    "++runtime.endpoints.default.timeout=3",
)
"""A model, a judge and a grader that are all asked at a server."""


@dataclass(frozen=True)
class Graph:
    """A graph of steps that a command makes."""

    name: str
    options: tuple[str, ...]
    is_served: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    def arguments(self, folder: Path, address: str, outputs: Path) -> list[str]:
        """Return the arguments of its command.

        Args:
            folder: of all faults, with the weights of a model.
            address: of a server.
            outputs: its outputs folder.
        """
        asked = [f"model.id={folder / 'model'}", f"++runtime.endpoints.default.base_url={address}"]
        return [*self.options, *(asked if self.is_served else ()), f"runtime.outputs={outputs}"]


RUN = Graph("run", (*SMALL, "tracking=off"))
SWEEP = Graph("sweep", ("-m", *SMALL, "method=direct_refusal,interpolation", "shift=true", "tracking=mlflow"))
"""Two jobs that share a reasoning model and an aligned one: with steps of every kind, and tracked in MLflow."""
SERVED_RUN = Graph(
    "served", SERVED, True, {"OPENAI_API_KEY": "sk-not-a-key", "HF_HUB_OFFLINE": "1", "NO_PROXY": "127.0.0.1"}
)
GRAPHS = (RUN, SWEEP, SERVED_RUN)
