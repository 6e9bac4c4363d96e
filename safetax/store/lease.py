"""Leases: who owns a lock where the kernel's own lock may not reach, between hosts that share a file system.

The lock file names its owner, who renews the lease by touching the file. Another host waits while the file is touched,
and takes the lock over when the lease has run out, or when Slurm says that the owner's job has ended. An owner that
lost its lease so finds another name in the file when it wants to finish its step, and does not.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

from safetax.store.slurm import job_has_ended

HEARTBEAT = 10.0
"""Seconds between two renewals of a lease."""
LEASE_TIMEOUT = 60.0
"""Seconds without a renewal after which an owner on another host is taken for dead."""
SLURM_CHECK_INTERVAL = 10.0
"""Seconds between two questions to Slurm whether the owner's job still runs."""


@dataclass(frozen=True)
class Owner:
    """A process that holds a lock; ``token`` is of this one time."""

    process: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)
    job: str | None = field(default_factory=lambda: os.environ.get("SLURM_JOB_ID"))
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __str__(self) -> str:
        """Name the process and its host."""
        job = f", job {self.job}" if self.job else ""
        return f"process {self.process} on {self.host}{job}"


def write_owner(descriptor: int, owner: Owner | None) -> None:
    """Write the owner into an open lock file; None: it has none any more."""
    text = "" if owner is None else json.dumps(asdict(owner)) + "\n"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def read_owner(descriptor: int) -> Owner | None:
    """Return the owner that an open lock file names, or None."""
    try:
        return Owner(**json.loads(os.pread(descriptor, 1000, 0)))
    except (ValueError, TypeError, RecursionError):
        return None


def is_leased_elsewhere(descriptor: int) -> bool:
    """Whether an owner on another host has a lease that has not run out; by the clocks, to within a minute."""
    owner = _owner_elsewhere(descriptor)
    return owner is not None and abs(time.time() - os.fstat(descriptor).st_mtime) < LEASE_TIMEOUT


def wait_for_other_hosts(descriptor: int, waiting: Callable[[str], None] | None) -> None:
    """Wait until no other host owns the lock: it was given back, its lease ran out, or its owner's job has ended.

    Args:
        descriptor: of the open lock file.
        waiting: called once with the owner (process and host) if there is one to wait for.
    """
    said = False
    seen, since, asked = -1, time.monotonic(), 0.0
    while (owner := _owner_elsewhere(descriptor)) is not None:
        touched = os.fstat(descriptor).st_mtime_ns
        now = time.monotonic()
        if touched != seen:
            seen, since = touched, now
        if now - since > LEASE_TIMEOUT:
            return
        if owner.job is not None and now - asked > SLURM_CHECK_INTERVAL:
            asked = now
            if job_has_ended(owner.job):
                return
        if waiting is not None and not said:
            waiting(str(owner))
            said = True
        time.sleep(min(1.0, LEASE_TIMEOUT / 10))


def _owner_elsewhere(descriptor: int) -> Owner | None:
    owner = read_owner(descriptor)
    return owner if owner is not None and owner.host != socket.gethostname() else None


@contextlib.contextmanager
def keep_lease(descriptor: int) -> Iterator[Owner]:
    """Write this process into an open lock file as its owner and renew the lease until the block ends."""
    owner = Owner()
    write_owner(descriptor, owner)
    try:
        with heartbeat(lambda: os.utime(descriptor)):
            yield owner
    finally:
        if read_owner(descriptor) == owner:
            write_owner(descriptor, None)


@contextlib.contextmanager
def heartbeat(beat: Callable[[], None]) -> Iterator[None]:
    """Call a function every ``HEARTBEAT`` seconds, in a thread, until the block ends; its OSErrors are ignored."""
    over = threading.Event()

    def loop() -> None:
        while not over.wait(HEARTBEAT):
            with contextlib.suppress(OSError):
                beat()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
