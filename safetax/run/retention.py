"""Which checkpoints stay on disk when a run is done (``runtime.keep``)."""

from __future__ import annotations

from typing import Literal

from safetax.plan.graph import Plan
from safetax.store.manifest import release
from safetax.store.status import Store

WEIGHTS = ".safetensors"


def let_go(plan: Plan, store: Store, keep: Literal["all", "evaluated", "results"]) -> int:
    """Remove the weights of a finished plan that are not to stay, and return their bytes.

    Args:
        plan: whose steps are all finished.
        store: where they lie.
        keep: ``evaluated`` keeps the checkpoints that were evaluated, ``results`` none.
    """
    if keep == "all":
        return 0
    evaluated = {
        checkpoint.weights.key for run in plan.runs for checkpoint in run.checkpoints if checkpoint.weights is not None
    }
    stay = evaluated if keep == "evaluated" else set()
    made = [step for step in plan.steps if step.kind in ("train", "merge") and step.key not in stay]
    return sum(release(store.directory(step), WEIGHTS) for step in made)
