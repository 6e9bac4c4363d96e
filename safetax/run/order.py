"""What of a graph goes first, and what goes together."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from safetax.store.step import Step


def early(steps: Sequence[Step]) -> set[str]:
    """Return the steps that prepare data which no model had a part in.

    Args:
        steps: a graph, inputs before what uses them.
    """
    found: set[str] = set()
    for step in steps:
        if step.kind == "prepare" and all(source.key in found for source in step.inputs.values()):
            found.add(step.key)
    return found


def trainings_behind(steps: Sequence[Step]) -> dict[str, int]:
    """Return for each step how many trainings need it, directly or through others.

    Args:
        steps: a graph, inputs before what uses them.
    """
    behind: dict[str, set[str]] = {step.key: set() for step in steps}
    for step in reversed(steps):
        through = behind[step.key] | ({step.key} if step.kind == "train" else set())
        for source in step.inputs.values():
            behind[source.key] |= through
    return {key: len(found) for key, found in behind.items()}


def has_model(step: Step, complete: Collection[str]) -> bool:
    """Whether the model that a step asks is there."""
    model = step.inputs.get("model")
    return model is None or model.key in complete


def together(step: Step) -> str:
    """Return what steps of one request have in common."""
    if step.kind in ("generate", "perplexity"):
        model = step.inputs.get("model")
        return model.key if model else str(step.identity.get("model"))
    component = step.identity["dataset" if step.kind == "prepare" else "judge"]
    return str(component["kind"])
