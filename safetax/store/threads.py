"""CPU threads of a worker: as many as the step's settings say, or its share of the cores.

The share changes while a step runs, as other workers begin and end; the lab's results are the same bits with any number
of threads.
"""

from __future__ import annotations

import os

share: int | None = None
"""This process's share of the cores, as the process that started it last said."""


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_threads(fixed: int | None) -> None:
    """Have torch use the threads that a setting fixes, or this process's share of the cores."""
    import torch

    wanted = fixed or share or usable_cores()
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)
