"""CPU threads of a worker: as many as the step's settings say, or its share of the cores, and the same all the time.

On some machines another number of threads gives other bits, so that a number that changed while a model is trained
would give another model each time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of(runtime: Mapping[str, Any], beside: int | None = None) -> int:
    """Return the number of threads of a worker.

    Args:
        runtime: the step's; ``threads`` is the number, None: the worker's share of the cores.
        beside: processes that share the cores; None: the ``workers`` that are at work at a time, which without a number
            are as many as cores.
    """
    return runtime.get("threads") or max(1, usable_cores() // (beside or runtime.get("workers") or usable_cores()))


def use_threads(runtime: Mapping[str, Any]) -> None:
    """Set torch's number of threads to that of a worker.

    Args:
        runtime: the step's.
    """
    import torch

    wanted = threads_of(runtime)
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)
