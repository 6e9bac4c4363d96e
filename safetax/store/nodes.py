"""Which of the nodes this is, where one command is given on several of them.

The environment says it: ``SLURM_NODEID`` (srun sets it) or ``NODE_RANK``, 0 where neither is set. The first node holds
the locks and finishes the steps; the others wait until it begins, and add what they can do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

from safetax.errors import UserError

T = TypeVar("T")
NODE_TIMEOUT = 600.0
"""Seconds that a node waits for the first one to begin, and the first one for the others to meet."""


def node_rank() -> int:
    """Return the rank of this node, from 0."""
    return int(os.environ.get("SLURM_NODEID") or os.environ.get("NODE_RANK") or 0)


def wait_for_first_node(key: str, begun: Callable[[], T], is_complete: Callable[[], bool]) -> T | None:
    """Wait until the first node has begun a step.

    Args:
        key: the step's.
        begun: something true when the first node has.
        is_complete: whether the step is.

    Returns:
        what ``begun`` returned; None where the step is complete by then.

    Raises:
        UserError: no first node begins.
    """
    deadline = time.monotonic() + NODE_TIMEOUT
    while not (found := begun()):
        if is_complete():
            return None
        if time.monotonic() > deadline:
            raise UserError(f"no first node began {key} in {NODE_TIMEOUT:.0f} seconds")
        time.sleep(0.5)
    return found
