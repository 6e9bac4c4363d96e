"""What a plan will take, before anything runs: memory, disk and GPU-hours of each stage.

Pure arithmetic on shapes and settings, and on what finished steps measured; no torch. It is for models that are
trained from a pre-trained start: the lab's own takes seconds on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetax.config.schema import Shape
from safetax.data.hub import UNKNOWN
from safetax.data.hub_places import is_cached
from safetax.plan.estimate.generation import JUDGES, generation_estimate, judging_estimate
from safetax.plan.estimate.memory import parameters_in
from safetax.plan.estimate.reading import merge_estimate, perplexity_estimate
from safetax.plan.estimate.shapes import shape_of
from safetax.plan.estimate.stage import Estimate, Work
from safetax.plan.estimate.training import resolve_offload, training_estimate
from safetax.store.step import Step

if TYPE_CHECKING:  # the plan itself asks this package what to offload
    from safetax.plan.graph import PlannedRun
    from safetax.plan.status import PlanStatus

__all__ = ["Estimate", "Estimates", "estimates", "resolve_offload"]

STAGES = {"base": "pretraining", "lrm": "reasoning", "aligned": "alignment"}


@dataclass
class Estimates:
    """What the steps of a plan take that are not done, by stage; ``unknown`` says what nothing can be said of."""

    stages: list[Estimate] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    downloads: dict[str, float] = field(default_factory=dict)
    """Bytes of the models that the hub's cache lacks, by their ids."""

    @property
    def hours(self) -> float:
        """GPU-hours of all stages."""
        return sum(stage.hours for stage in self.stages)

    @property
    def disk(self) -> float:
        """Bytes that the outputs grow by, at most: what stays, and the scratch of the largest step."""
        return sum(stage.disk for stage in self.stages) + max((stage.scratch for stage in self.stages), default=0.0)


def estimates(status: PlanStatus, waiting: Sequence[Step]) -> Estimates:
    """Return what the steps take that are not done.

    Args:
        status: of the plan; the data and measurements of finished steps are used.
        waiting: the steps to be run.
    """
    found = Estimates()
    runs = [run for run in status.plan.runs if run.config.model.start == "pretrained"]
    pending = {step.key for step in waiting}
    if not any(step.key in pending for run in runs for step in run.steps):
        return found
    done = sorted(status.finished, key=lambda manifest: manifest["provenance"]["finished"])
    groups: dict[tuple[Any, ...], list[Work]] = {}
    seen: set[str] = set()
    for run in runs:
        shape = shape_of(run.config.model)
        if shape is None:
            text = f"memory and GPU-hours of {run.config.model.name}: set model.shape, or name a local folder"
            found.unknown += [text] if text not in found.unknown else []
            continue
        for work in _works(run, shape):
            if work.step.key in pending and work.step.key not in seen:
                seen.add(work.step.key)
                groups.setdefault(work.group, []).append(work)
    makers = {
        "train": training_estimate,
        "merge": merge_estimate,
        "perplexity": perplexity_estimate,
        "generate": generation_estimate,
        "score": judging_estimate,
    }
    for works in groups.values():
        found.stages.append(makers[works[0].step.kind](works, status.store, done))
        found.downloads |= dict(filter(None, map(_download, works)))
    return found


def _download(work: Work) -> tuple[str, float] | None:
    """Return the id and bytes of the model that a step loads from the hub, where the cache lacks it."""
    node = work.step.identity.get("model") or work.step.identity.get("judge")
    if node is None or Path(node["id"]).expanduser().is_dir():
        return None
    commit = (node.get("resolved") or {}).get("commit")
    if is_cached(node["id"], "model", None if commit == UNKNOWN else commit):
        return None
    count = JUDGES[node["kind"]] if "kind" in node else parameters_in(work.shape)
    return node["id"], 2 * count


def _works(run: PlannedRun, shape: Shape) -> list[Work]:
    """Return the steps of a run that use GPUs, or write weights."""
    stages = {point.train.key: STAGES[point.role] for point in run.checkpoints if point.train is not None}
    benchmarks = {item.generate.key: item.benchmark for point in run.checkpoints for item in point.evaluations}
    works = []
    for step in run.steps:
        local = step.kind == "generate" and step.identity["engine"]["kind"] != "openai"
        judged = step.kind == "score" and step.identity["judge"]["kind"] in JUDGES
        if step.kind == "train":
            works.append(Work(step, stages.get(step.key, "reasoning"), run.config, shape))
        elif step.kind in ("merge", "perplexity"):
            works.append(Work(step, step.kind, run.config, shape))
        elif local or judged:
            asked = step if step.kind == "generate" else step.inputs["responses"]
            works.append(Work(step, "evaluation", run.config, shape, benchmarks.get(asked.key)))
    return works
