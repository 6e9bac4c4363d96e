"""Locks on steps: held by the worker that writes the step, and by the ranks that inherit it.

The lock is the kernel's own (``flock``): it goes with the last process that holds it, so an orphan that still writes is
never overtaken, and a killed worker leaves nothing to clean up. Where it does not reach, between hosts, the lease in
the lock file does (:mod:`safetax.store.lease`). A second lock, on the outputs folder as a whole, is shared by the runs
at work there, so that nothing is pruned which a run has found finished and counts on.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from safetax.errors import MISPLACED, UserError, explained
from safetax.store.lease import Owner, is_leased_elsewhere, keep_lease, read_owner, wait_for_other_hosts

_held: dict[int, Owner] = {}
"""Owners that this process wrote into the locks which it holds, by file descriptor."""
INSPECTION = 0.05
"""Seconds that another process may take to look at a lock; whoever holds one longer is at work."""
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class NoLocksError(UserError, OSError):
    """The file system keeps no locks."""


def lock_path(directory: Path) -> Path:
    """Return the lock file of a step's folder; it lies beside the steps, so that removing a step leaves it alone."""
    return directory.parent.parent / "locks" / f"{directory.parent.name}-{directory.name}"


@contextlib.contextmanager
def locked(directory: Path, waiting: Callable[[str], None] | None = None) -> Iterator[int]:
    """Hold the lock of a step's folder.

    Args:
        directory: the step's folder.
        waiting: called with the owner (process and host) before waiting for another process.

    Yields:
        the file descriptor that holds the lock; a child process that inherits it holds the lock too.

    Raises:
        NoLocksError: the file system keeps no locks.
    """
    descriptor = _acquire(lock_path(directory), waiting)
    try:
        wait_for_other_hosts(descriptor, waiting)
        with keep_lease(descriptor) as owner:
            _held[descriptor] = owner
            yield descriptor
    finally:
        _held.pop(descriptor, None)
        os.close(descriptor)


def has_lost_lease(descriptor: int) -> bool:
    """Whether another host took over a lock of this process, whose lease had run out."""
    return descriptor in _held and read_owner(descriptor) != _held[descriptor]


@contextlib.contextmanager
def try_locked(directory: Path) -> Iterator[bool]:
    """Hold the lock of a step's folder if no one else does; yields whether it is held."""
    path = lock_path(directory)
    with _opened(path) as descriptor:
        held = _try(descriptor, fcntl.LOCK_EX, path) and _lies_at(descriptor, path)
        held = held and not is_leased_elsewhere(descriptor)
        with keep_lease(descriptor) if held else contextlib.nullcontext():
            yield held


def owner(directory: Path) -> str | None:
    """Return who holds the lock of a step's folder now, as process and host in words; None where nobody does."""
    return _inspect(directory, _words)


def lease_token(directory: Path) -> str | None:
    """Return the token of the lease that some process has on a step's folder now; None where none has."""
    return _inspect(directory, lambda descriptor: name.token if (name := read_owner(descriptor)) else None)


def own_lease_token(descriptor: int) -> str:
    """Return the token of the lease that goes with a lock which this process holds."""
    return _held[descriptor].token


def _inspect(directory: Path, tell: Callable[[int], str | None]) -> str | None:
    try:
        descriptor = os.open(lock_path(directory), os.O_RDONLY | os.O_NONBLOCK)  # a pipe would be waited for
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    try:
        # A shared lock: two that look at once do not take each other for an owner.
        free = _try(descriptor, fcntl.LOCK_SH, lock_path(directory)) and not is_leased_elsewhere(descriptor)
        return None if free else tell(descriptor)
    finally:
        os.close(descriptor)


def is_locked(directory: Path) -> bool:
    """Whether some process holds the lock of a step's folder now."""
    return owner(directory) is not None


@contextlib.contextmanager
def shared_use(outputs: Path) -> Iterator[None]:
    """Keep an outputs folder from being pruned; any number of processes may at a time."""
    path = outputs / "locks" / "runs"
    with _opened(path) as descriptor:
        _flock(descriptor, fcntl.LOCK_SH, path)
        yield


@contextlib.contextmanager
def exclusive_use(outputs: Path) -> Iterator[bool]:
    """Keep runs from beginning in an outputs folder; yields False where one is at work."""
    path = outputs / "locks" / "runs"
    with _opened(path) as descriptor:
        yield _try(descriptor, fcntl.LOCK_EX, path)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        if error.errno not in MISPLACED:
            raise
        raise UserError(explained(error)) from None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = _open(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(path: Path, waiting: Callable[[str], None] | None) -> int:
    while True:
        descriptor = _open(path)
        try:
            if not _try(descriptor, fcntl.LOCK_EX, path):
                time.sleep(INSPECTION)
                if not _try(descriptor, fcntl.LOCK_EX, path):
                    if waiting is not None:
                        waiting(_words(descriptor))
                    _flock(descriptor, fcntl.LOCK_EX, path)
            if _lies_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _try(descriptor: int, operation: int, path: Path) -> bool:
    try:
        _flock(descriptor, operation | fcntl.LOCK_NB, path)
    except BlockingIOError:
        return False
    return True


def _flock(descriptor: int, operation: int, path: Path) -> None:
    """Lock the open lock file at a path.

    Raises:
        NoLocksError: the file system does not know how.
    """
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        raise NoLocksError(
            f"runtime.outputs={path.parent.parent}: its file system keeps no locks (flock: {error.strerror}), without "
            "which two runs would write the same step; name a folder on one that does, such as NFS 4, Lustre "
            "mounted with '-o flock', or a local disk."
        ) from None


def _lies_at(descriptor: int, path: Path) -> bool:
    """Whether the lock file is still the one at its path; one that was removed locks nobody out."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _words(descriptor: int) -> str:
    return str(read_owner(descriptor) or "another process")
