"""CPU threads of a worker: as many as the step's settings say, or its share of the cores.

The share changes while a step runs, as other workers begin and end; the lab's results are the same bits with any number
of threads.
"""

from __future__ import annotations

import os

share: int | None = None
"""This process's share of the cores, as the process that started it last told; None: it has not."""


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_threads(fixed: int | None) -> None:
    """Set torch's number of threads.

    Args:
        fixed: the number; None: this process's share of the cores, or else all of them.
    """
    import torch

    wanted = fixed or share or usable_cores()
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)
