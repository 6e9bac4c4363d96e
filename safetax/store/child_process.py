"""Processes that a worker starts: their environment, and their end when the worker ends."""

from __future__ import annotations

import os
import sys

PARENT = "SAFETAX_STARTED_BY"
"""Environment variable with the id of the process that started this one."""

NOT_INHERITED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables of torchrun that make a process a rank, as do ``TORCHELASTIC_*``, ``GROUP_*`` and ``ROLE_*``."""


def clean_environment() -> dict[str, str]:
    """Return the environment for a child process: this one's, without torchrun's variables, and with ``PARENT``."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in NOT_INHERITED and not name.startswith(("TORCHELASTIC_", "GROUP_", "ROLE_"))
    }
    return {**kept, PARENT: str(os.getpid())}


def end_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends (Linux; elsewhere nothing is done)."""
    if sys.platform == "linux":
        import ctypes
        import signal

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        if os.getppid() != int(os.environ[PARENT]):  # it died before the kernel was asked
            os._exit(1)
