"""Which of the nodes this is, where one command is given on several of them.

The environment says it: ``SLURM_NODEID`` (srun sets it) or ``NODE_RANK``, 0 where neither is set. The first node holds
the locks and finishes the steps; the others wait until it begins, and add what they can do.
"""

from __future__ import annotations

import os

NODE_TIMEOUT = 600.0
"""Seconds that a node waits for the first one to begin, and the first one for the others to meet."""


def node_rank() -> int:
    """Return the rank of this node, from 0."""
    return int(os.environ.get("SLURM_NODEID") or os.environ.get("NODE_RANK") or 0)
