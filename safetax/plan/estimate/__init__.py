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
from safetax.data.hub import is_cached, known_commit
from safetax.plan.estimate.generation import generation_estimate, judging_estimate
from safetax.plan.estimate.memory import parameters_in
from safetax.plan.estimate.reading import merge_estimate, perplexity_estimate
from safetax.plan.estimate.stage import Estimate, EstimatedStep, shape_of
from safetax.plan.estimate.training import resolve_offload, training_estimate
from safetax.plan.requirements import needs_of_step
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
    groups: dict[tuple[Any, ...], list[EstimatedStep]] = {}
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


def _download(work: EstimatedStep) -> tuple[str, float] | None:
    """Return the id and bytes of the model that a step loads from the hub, where the cache lacks it."""
    node, local = work.step.identity.get("model"), work.needs.local_model
    if node is not None:
        name, parameters = node["id"], parameters_in(work.shape)
    elif local is not None:
        node, name, parameters = work.step.identity["judge"], local.id, local.parameters * 1e9
    else:
        return None
    there = Path(name).expanduser().is_dir() or is_cached(name, "model", known_commit(node))
    return None if there else (name, 2 * parameters)


def _works(run: PlannedRun, shape: Shape) -> list[EstimatedStep]:
    """Return the steps of a run that use GPUs, or write weights."""
    stages = {point.train.key: STAGES[point.role] for point in run.checkpoints if point.train is not None}
    sizes = {item.generate.key: item.config.size for point in run.checkpoints for item in point.evaluations}
    works = []
    for step in run.steps:
        if step.kind == "train":
            works.append(EstimatedStep(step, stages.get(step.key, "reasoning"), run.config, shape))
        elif step.kind in ("merge", "perplexity"):
            of = step.inputs["data"].inputs.get("responses") if "traces" in step.identity else None
            works.append(EstimatedStep(step, step.kind, run.config, shape, of and sizes.get(of.key)))
        elif needs_of_step(step).served_model or needs_of_step(step).local_model:
            asked = step if step.kind == "generate" else step.inputs["responses"]
            works.append(EstimatedStep(step, "evaluation", run.config, shape, sizes.get(asked.key)))
    return works
