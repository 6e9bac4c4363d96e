"""The lab's documents for lm-eval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safetax.data.lab.world import TEST_PROBLEMS, world
from safetax.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset


def reasoning_documents(world_seed: int = 0, samples: int = 200, **unused: Any) -> dict[str, Dataset]:
    """Return the first ``samples`` test problems of a world as lm-eval's split ``test``.

    lm-eval passes all of a task's metadata, so other keys are let through.
    """
    from datasets import Dataset

    if not 1 <= samples <= TEST_PROBLEMS:
        raise UserError(f"lab_reasoning: samples is {samples}; a world has 1 to {TEST_PROBLEMS} test problems")
    problems = world(world_seed).test_problems[:samples]
    rows = [{"question": problem.text, "answer": str(problem.values[-1])} for problem in problems]
    return {"test": Dataset.from_list(rows)}
