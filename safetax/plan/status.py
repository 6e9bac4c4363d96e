"""A plan against what is on disk, read once: the plan's table, preflight, the estimates and Slurm's jobs ask it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetax.config.schema import Config
from safetax.plan.graph import Plan
from safetax.store.manifest import sources
from safetax.store.status import Described, Pending, Status, Store, described, most_similar, to_do
from safetax.store.step import Step, canonical_json


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

    def timed_like(self, step: Step) -> dict[str, Any] | None:
        """Return the finished step whose time says something of a step's: the most like it that did the same work.

        The same work is of the same model, engine, judge and kind of data: any other takes another time.
        """
        described_by_work = self._described_by_work.get((step.kind, _work(step.frozen(), self._frozen)), ())
        found = next(iter(most_similar(step.frozen(), described_by_work, 1)), None)
        return None if found is None else found[0]

    @cached_property
    def _frozen(self) -> Mapping[str, Mapping[str, Any]]:
        return {step.key: step.frozen() for step in self.steps}

    @cached_property
    def _described_by_work(self) -> Mapping[tuple[str, str], Sequence[Described]]:
        """The finished steps by their kind and work."""
        by_key = {f"{manifest['kind']}/{manifest['fingerprint']}": manifest for manifest in self.finished}
        found: dict[tuple[str, str], list[Described]] = {}
        for manifest, told in (each for same in self._described.values() for each in same):
            found.setdefault((manifest["kind"], _work(manifest, by_key)), []).append((manifest, told))
        return found

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


def _work(frozen: Mapping[str, Any], by_key: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the model that a step goes back to and the kinds of its components, as a text to be compared.

    Args:
        frozen: description or manifest of the step.
        by_key: those of the steps that it may come from.
    """
    root = frozen
    while key := (inputs := sources(root)).get("model") or inputs.get("responses"):
        root = by_key.get(key, {"identity": {"model": f"unknown, through {key}"}})
    components = ("engine", "judge", "dataset", "training")
    identity = frozen["identity"]
    kinds = {name: (identity.get(name) or {}).get("kind") for name in components}
    return canonical_json({"model": root["identity"].get("model"), **kinds})


def status_of(plan: Plan, outputs: Path) -> PlanStatus:
    """Return the status of a plan in an outputs folder, which need not be there yet."""
    return PlanStatus(plan, Store(outputs, plan.runs[0].config.runtime.retry_errors))
