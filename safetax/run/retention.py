"""Which checkpoints stay on disk when a run is done (``runtime.keep``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safetax.plan.graph import Plan
from safetax.run.terminal import say, shown
from safetax.store.claims import blockers, submitting
from safetax.store.locks import exclusive_use
from safetax.store.manifest import release
from safetax.store.status import Store

if TYPE_CHECKING:
    from rich.console import Console

WEIGHTS = ".safetensors"


def release_weights(plan: Plan, outputs: Path, console: Console) -> None:
    """Remove the weights of a finished plan that are not to stay, and say how many GB that freed.

    ``runtime.keep=evaluated`` keeps the checkpoints that were evaluated, ``results`` none. Nothing goes while another
    run, or a job of the cluster, may be reading it.

    Args:
        plan: whose steps are all finished.
        outputs: its outputs folder.
        console: where it is said.
    """
    keep = plan.runs[0].config.runtime.keep
    if keep == "all":
        return
    evaluated = {point.weights.key for run in plan.runs for point in run.checkpoints if point.weights is not None}
    stay = evaluated if keep == "evaluated" else set()
    made = [step for step in plan.steps if step.kind in ("train", "merge") and step.key not in stay]
    store, freed = Store(outputs), 0
    with exclusive_use(outputs) as alone, submitting(outputs):
        reading = blockers(outputs) if alone else "another run is at work there"
        if not reading:
            freed = sum(release(store.directory(step), WEIGHTS) for step in made)
    if reading:
        say(
            console,
            f"runtime.keep={keep}: all weights in {shown(outputs)} stay, since {reading}. Give the command again when "
            "that is over to let them go.",
        )
    if freed:
        say(console, f"runtime.keep={keep}: weights let go, {freed / 1e9:.1f} GB")
