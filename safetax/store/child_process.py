"""What a process that a worker starts must not take from it, and how it ends when the worker does."""

from __future__ import annotations

import os
import sys

PARENT = "SAFETAX_STARTED_BY"
"""Environment variable that tells a process who started it."""

NOT_INHERITED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Under torchrun these make a process take itself for a rank; and so do ``TORCHELASTIC_*`` and ``GROUP_*``."""


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what makes a rank of a process, for one that ends with this one."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in NOT_INHERITED and not name.startswith(("TORCHELASTIC_", "GROUP_", "ROLE_"))
    }
    return {**kept, PARENT: str(os.getpid())}


def end_with_parent() -> None:
    """Ask the kernel to end this process when the thread that started it ends (Linux; elsewhere nothing is done)."""
    if sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        if os.getppid() != int(os.environ[PARENT]):  # it died before the kernel was asked
            os._exit(1)
