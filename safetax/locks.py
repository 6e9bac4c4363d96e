"""Locks on steps: held by the worker that writes the step, and by the ranks that inherit it.

The lock is the kernel's own (``flock``): it goes with the last process that holds it, so an orphan that still writes is
never overtaken, and a killed worker leaves nothing to clean up. A second lock, on the outputs folder as a whole, is
shared by the runs at work there, so that nothing is pruned which a run has found finished and counts on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

GLANCE = 0.05
"""Seconds that a mere look at a lock may take; whoever holds one longer is at work."""


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
    descriptor = _acquire(lock_path(directory), waiting)
    try:
        _sign(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def try_locked(directory: Path) -> Iterator[bool]:
    """Hold the lock of a step's folder if no one else does; yields whether it is held."""
    descriptor = _open(lock_path(directory))
    try:
        held = _try(descriptor, fcntl.LOCK_EX) and _lies_at(descriptor, lock_path(directory))
        if held:
            _sign(descriptor)
        yield held
    finally:
        os.close(descriptor)


def owner(directory: Path) -> str | None:
    """Return the words (host and process) of who holds the lock of a step's folder now, or None."""
    try:
        descriptor = os.open(lock_path(directory), os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        # A shared lock: two who look at once do not take each other for an owner.
        return None if _try(descriptor, fcntl.LOCK_SH) else _words(descriptor)
    finally:
        os.close(descriptor)


def is_locked(directory: Path) -> bool:
    """Whether some process holds the lock of a step's folder now."""
    return owner(directory) is not None


@contextlib.contextmanager
def in_use(outputs: Path) -> Iterator[None]:
    """Keep an outputs folder from being pruned; any number of processes may at a time."""
    descriptor = _open(outputs / "locks" / "runs")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def unused(outputs: Path) -> Iterator[bool]:
    """Keep runs from beginning in an outputs folder; yields False where one is at work."""
    descriptor = _open(outputs / "locks" / "runs")
    try:
        yield _try(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _acquire(path: Path, waiting: Callable[[str], None] | None) -> int:
    while True:
        descriptor = _open(path)
        try:
            if not _try(descriptor, fcntl.LOCK_EX):
                time.sleep(GLANCE)
                if not _try(descriptor, fcntl.LOCK_EX):
                    if waiting is not None:
                        waiting(_words(descriptor))
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _lies_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _try(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lies_at(descriptor: int, path: Path) -> bool:
    """Whether the lock file is still the one at its path; one that was removed locks nobody out."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)


def _words(descriptor: int) -> str:
    return os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
