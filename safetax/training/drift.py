"""How far a training moves the embeddings of tokens that its data do not hold.

No row of the data says anything of them, so that their gradients are all but zero; Adam divides these by their own size
and makes whole steps of them. What such tokens stand for is then lost, and nothing in the loss tells.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch

from safetax.models.checkpoint import MODEL, read_tensor, source_of
from safetax.store.job import StepJob


def drift_summary(job: StepJob, model: Any, tokens: Collection[int]) -> dict[str, Any]:
    """Return for a step's summary how far its training moved the input embeddings; nothing of a random start.

    Args:
        job: the step, whose checkpoint is saved.
        model: the trained model, whose weights may be spread over ranks.
        tokens: the tokens of its data.
    """
    if "model" not in job.inputs and job.identity["model"]["start"] == "random":
        return {}
    embedding = model.get_input_embeddings().weight
    name = next((name for name, value in model.named_parameters() if value is embedding), None)
    if name is None or not embedding.requires_grad:
        return {}
    before = read_tensor(*source_of(job.identity, job.inputs), name)
    after = read_tensor(str(job.directory / MODEL), None, name)
    if before is None or after is None or before.shape != after.shape:
        return {}
    return {"embedding_drift": embedding_drift(before, after, tokens)}


def embedding_drift(before: torch.Tensor, after: torch.Tensor, tokens: Collection[int]) -> dict[str, Any]:
    """Return how far rows moved, as the mean of each row's distance over its length at the start.

    Args:
        before: embeddings at the start, shape [vocabulary, hidden size].
        after: the same in the end.
        tokens: rows that the data hold.

    Returns:
        ``seen`` and ``absent``: of rows that the data hold, and of the others (None: there are none);
        ``absent_tokens``: how many these are; ``absent_together``: length of their mean movement over the mean length
        of their movements, so that 1 is all in one direction and 0 each in its own.
    """
    before, moved = before.float(), after.float() - before.float()
    distances = moved.norm(dim=1)
    relative = distances / before.norm(dim=1).clamp(min=1e-12)
    seen = torch.zeros(len(before), dtype=torch.bool)
    seen[torch.tensor(sorted(tokens), dtype=torch.long)] = True
    absent = ~seen
    total = float(distances[absent].mean()) if absent.any() else 0.0
    return {
        "seen": float(relative[seen].mean()) if seen.any() else None,
        "absent": float(relative[absent].mean()) if absent.any() else None,
        "absent_tokens": int(absent.sum()),
        "absent_together": float(moved[absent].mean(0).norm()) / total if total else None,
    }
