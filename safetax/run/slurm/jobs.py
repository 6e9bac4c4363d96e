"""The steps of a plan as jobs of a cluster: which share one, what each needs, and which must end well before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safetax.config.runtime import Slurm
from safetax.config.schema import Config
from safetax.plan.estimate.generation import gpus_of_a_copy
from safetax.plan.estimate.reading import gpus_to_read
from safetax.plan.requirements import needs_of_step
from safetax.plan.status import PlanStatus
from safetax.store.step import Step, StepKind

ROUNDS = ("generate", "score")
"""Kinds of steps that share jobs, and that others of their kind may be made from."""


@dataclass(frozen=True)
class Resources:
    """What a job asks of the cluster; ``gpus`` and ``memory_gb`` are of each node."""

    nodes: int
    gpus: int
    cpus: int
    memory_gb: float | None
    minutes: int
    partition: str | None

    def __str__(self) -> str:
        """Say it in a few words."""
        of_each = (
            f"{self.gpus} GPU{'s' * (self.gpus != 1)}" if self.gpus else f"{self.cpus} core{'s' * (self.cpus != 1)}"
        )
        memory = f", {self.memory_gb:g} GB" if self.memory_gb else ""
        return (f"{self.nodes} nodes of " if self.nodes > 1 else "") + of_each + memory


@dataclass(frozen=True)
class Job:
    """Steps of one kind that one job does; ``after`` are the places of the jobs that make its inputs."""

    kind: StepKind
    steps: tuple[Step, ...]
    after: tuple[int, ...]
    resources: Resources

    @property
    def title(self) -> str:
        """What it does, in words."""
        first, count = self.steps[0].title, len(self.steps)
        if count == 1:
            return first
        if self.kind == "prepare":
            return f"{count} data sets"
        if self.kind == "perplexity":
            return f"perplexity of {count} data sets under {first.split(' under ', 1)[-1]}"
        what = "answer {} prompt sets" if self.kind == "generate" else "judge or grade {} sets of responses"
        return f"{what.format(count)}: {first.split(': ', 1)[-1]}"


def cluster_jobs(status: PlanStatus, at_work: Mapping[str, str]) -> list[Job]:
    """Return the jobs for what is not done of a plan, and what no job is to do already.

    Args:
        status: of the plan.
        at_work: the steps that a living job will do, with its number.
    """
    to_do = status.to_do.keys() - at_work.keys()
    return jobs_of(status.steps, status.config_of, lambda step: step.key in to_do)


def jobs_of(steps: Sequence[Step], config_of: Mapping[str, Config], to_do: Callable[[Step], bool]) -> list[Job]:
    """Return the jobs for the steps that are to be done, each behind those that it needs.

    A training has a job of its own, and so has an interpolation. All prompt sets of a checkpoint share one, and so one
    start of the engine; what judges them on a GPU shares one, and what judges them without; so does all data that needs
    no model, and all data whose perplexity is measured under one model. Where a checkpoint answers or a judge reads
    what came of its own earlier responses, each such round has a job of its own.

    Args:
        steps: of a plan, inputs before what uses them.
        config_of: the configuration of a run that a step belongs to, by the step's key.
        to_do: whether a step is to be done by these jobs.
    """
    groups: dict[tuple[Any, ...], list[Step]] = {}
    rounds: dict[str, int] = {}
    for step in steps:
        rounds[step.key] = max(
            (rounds.get(source.key, 0) + (source.kind in ROUNDS) for source in step.inputs.values()), default=0
        )
        if to_do(step):
            groups.setdefault(_shared(step, config_of[step.key], rounds[step.key]), []).append(step)
    group_of = {step.key: name for name, group in groups.items() for step in group}
    needs = {
        name: {group_of[source.key] for step in group for source in step.inputs.values() if source.key in group_of}
        - {name}
        for name, group in groups.items()
    }
    place: dict[tuple[Any, ...], int] = {}

    def put(name: tuple[Any, ...]) -> None:
        if name not in place:
            for needed in sorted(needs[name], key=str):
                put(needed)
            place[name] = len(place)

    for name in groups:
        put(name)
    return [
        Job(
            groups[name][0].kind,
            tuple(groups[name]),
            tuple(sorted(place[needed] for needed in needs[name])),
            resources_of(groups[name], config_of[groups[name][0].key]),
        )
        for name in place
    ]


def _shared(step: Step, config: Config, rounds: int) -> tuple[Any, ...]:
    """Return what the steps of one job have in common.

    Args:
        step: one of them.
        config: of a run that it belongs to.
        rounds: how many generations and judgings lie one behind the other before it; as many for all, so that none of
            them waits for another.
    """
    if step.kind in ("train", "merge") or (step.kind == "prepare" and step.inputs):
        return (step.key,)
    if step.kind == "prepare":
        return ("data",)
    responses = step.inputs["responses"] if step.kind == "score" else step
    model = responses.inputs.get("model")
    checkpoint = model.key if model else str(responses.identity["model"])
    return (step.kind, checkpoint, gpus_of(step, config) > 0, rounds if step.kind in ROUNDS else 0)


def gpus_of(step: Step, config: Config) -> int:
    """Return how many GPUs a step needs on each of its nodes."""
    runtime = config.runtime
    if runtime.slurm.gpus_per_node == 0 or step.kind in ("prepare", "merge"):
        return 0
    if step.kind == "train":
        return step.runtime["devices"] // step.runtime["nodes"]
    if step.kind == "perplexity":
        return 0 if runtime.gpus == 0 else gpus_to_read(step, config)
    if step.kind == "score":
        return (runtime.gpus or 1) if needs_of_step(step).local_model and runtime.gpus != 0 else 0
    if needs_of_step(step).served_model is None or runtime.gpus == 0:
        return 0
    return runtime.gpus or gpus_of_a_copy(step, config)


def resources_of(steps: Sequence[Step], config: Config) -> Resources:
    """Return what a job for the steps asks for."""
    slurm, first = config.runtime.slurm, steps[0]
    gpus = max(gpus_of(step, config) for step in steps)
    return resources_for(slurm, slurm.minutes_of.get(first.kind, slurm.minutes), gpus, _nodes(first))


def resources_for(slurm: Slurm, minutes: int, gpus: int = 0, nodes: int = 1) -> Resources:
    """Return what a job with so many GPUs on each node, or without any, asks for."""
    if gpus:
        return Resources(nodes, gpus, gpus * slurm.cpus_per_gpu, slurm.memory_gb, minutes, slurm.partition)
    memory, partition = slurm.cpu_memory_gb or slurm.memory_gb, slurm.cpu_partition or slurm.partition
    return Resources(nodes, 0, slurm.cpus, memory, minutes, partition)


def _nodes(step: Step) -> int:
    """Return how many nodes a step is spread over; a server that is asked needs no more of them."""
    if step.kind == "generate" and needs_of_step(step).server is None:
        return step.runtime["generate_nodes"]
    return step.runtime["nodes"] if step.kind == "train" else 1
