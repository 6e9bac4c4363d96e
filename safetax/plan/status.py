"""A plan against what is on disk, read once: the plan's table, preflight, the estimates and Slurm's jobs ask it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetax.config.schema import Config
from safetax.plan.graph import Plan
from safetax.store.status import Described, Pending, Status, Store, described, most_similar, to_do
from safetax.store.step import Step


@dataclass(frozen=True, eq=False)
class PlanStatus:
    """What of a plan is done and what is to be done, as it was when it was first asked."""

    plan: Plan
    store: Store

    @cached_property
    def steps(self) -> list[Step]:
        """All steps of the plan, inputs before what uses them."""
        return self.plan.steps

    @cached_property
    def statuses(self) -> Mapping[str, Status]:
        """The status of each step by its key."""
        return self.store.statuses(self.steps)

    @cached_property
    def to_do(self) -> Mapping[str, Pending]:
        """The steps that are not simply reused, by their keys."""
        return to_do(self.steps, self.statuses)

    @property
    def waiting(self) -> list[Step]:
        """The steps that are not simply reused, inputs before what uses them."""
        return [step for step in self.steps if step.key in self.to_do]

    @cached_property
    def finished(self) -> Sequence[dict[str, Any]]:
        """The manifests of all finished steps of the outputs folder, those of other plans among them."""
        return list(self.store.finished())

    def nearest(self, step: Step) -> tuple[dict[str, Any], list[str]] | None:
        """Return the finished step of a step's kind that is most like it, if one is, and the keys that differ."""
        return next(iter(most_similar(step.frozen(), self._described.get(step.kind, ()), 1)), None)

    @cached_property
    def _described(self) -> Mapping[str, Sequence[Described]]:
        """The finished steps by their kind, each described once."""
        found: dict[str, list[Described]] = {}
        for manifest in self.finished:
            found.setdefault(manifest["kind"], []).append((manifest, described(manifest)))
        return found

    @cached_property
    def config_of(self) -> Mapping[str, Config]:
        """The configuration of the first run that a step belongs to, by the step's key."""
        return {step.key: run.config for run in reversed(self.plan.runs) for step in run.steps}


def status_of(plan: Plan, outputs: Path) -> PlanStatus:
    """Return the status of a plan in an outputs folder, which need not be there yet."""
    return PlanStatus(plan, Store(outputs, plan.runs[0].config.runtime.retry_errors))
