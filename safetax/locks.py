"""Locks on steps: held by the worker that writes the step, and by the ranks that inherit it.

The lock is the kernel's own (``flock``): it goes with the last process that holds it, so an orphan that still writes is
never overtaken, and a killed worker leaves nothing to clean up.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path


def lock_path(directory: Path) -> Path:
    """Return the lock file of a step's folder; it lies beside the steps, so that removing a step leaves it alone."""
    return directory.parent.parent / "locks" / f"{directory.parent.name}-{directory.name}"


@contextlib.contextmanager
def locked(directory: Path, waiting: Callable[[str], None] | None = None) -> Iterator[int]:
    """Hold the lock of a step's folder.

    Args:
        directory: the step's folder.
        waiting: called with the owner's words (host and process) before waiting for another process.

    Yields:
        the file descriptor that holds the lock; a child process that inherits it holds the lock too.
    """
    path = lock_path(directory)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting(os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def is_locked(directory: Path) -> bool:
    """Whether some process holds the lock of a step's folder now."""
    path = lock_path(directory)
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
