"""What the evaluations of a plan could tell apart: the least tax and gain that they would find, before they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from safetax.plan.estimate.workload import prompts_of
from safetax.plan.status import PlanStatus
from safetax.statistics.power import DISCORDANCE, ERROR, POWER, REPEATED, detectable_difference

SAMPLES = 8
"""Samples of each problem that are told beside one alone."""
DIFFERENCES = {"accuracy": "safety tax", "harmful": "safety gain"}
"""What a benchmark measures -> the difference from the LRM that is made of it."""
ASSUMED = (
    f"One run, paired with its LRM; {100 * POWER:.0f} % power at {100 * ERROR:.0f} % two-sided; single answers of the "
    f"two differ on {100 * DISCORDANCE:.0f} % of the prompts, and {100 * REPEATED:.0f} % of that variance is between "
    "prompts, where more samples do not lower it."
)


@dataclass(frozen=True)
class Sampled:
    """How many prompts a benchmark has, and how often it asks each."""

    prompts: int
    repeats: int


def detectable(status: PlanStatus) -> list[tuple[str, str]]:
    """Return for each difference the least that the plan's headline benchmarks would find, in points and in words.

    Runs whose benchmarks differ have a line each.
    """
    found: dict[tuple[str, str], None] = {}
    for run in status.plan.runs:
        for measures, name in DIFFERENCES.items():
            asked = {
                item.benchmark: Sampled(prompts_of(item.generate, status.store, item.config.size), item.config.repeats)
                for point in run.checkpoints
                if point.role == "aligned"
                for item in point.evaluations
                if item.config.headline and item.config.measures == measures
            }
            if asked:
                found[name, _line(asked)] = None
    return list(found)


def _line(asked: Mapping[str, Sampled]) -> str:
    told = [f"{name} {_points({name: sampled})}{_more(name, sampled)}" for name, sampled in asked.items()]
    if len(asked) > 1:
        told.append(f"their mean {_points(asked)}")
    return ", ".join(told)


def _more(name: str, sampled: Sampled) -> str:
    if sampled.repeats > 1:
        return f" ({sampled.repeats} samples)"
    return f" ({SAMPLES} samples: {_points({name: Sampled(sampled.prompts, SAMPLES)})})"


def _points(asked: Mapping[str, Sampled]) -> str:
    return f"{100 * detectable_difference([(each.prompts, each.repeats) for each in asked.values()]):.1f}"
