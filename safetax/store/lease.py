"""Who owns a lock where the kernel's own lock may not reach: between hosts that share a file system.

The lock file names its owner, who touches it as long as it lives. Another host waits while the file is touched, and
takes the lock over when it is not, or when Slurm says that the owner's job is gone. Whoever was overtaken so finds
another name in the file when it wants to finish its step, and does not.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

BEAT = 10.0
"""Seconds between two touches."""
SILENCE = 60.0
"""Seconds without a touch after which an owner on another host is taken for dead."""
ASK_SLURM = 10.0


@dataclass(frozen=True)
class Owner:
    """A process that holds a lock; ``token`` is of this one time."""

    process: int = field(default_factory=os.getpid)
    host: str = field(default_factory=lambda: host())
    job: str | None = field(default_factory=lambda: os.environ.get("SLURM_JOB_ID"))
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __str__(self) -> str:
        """Say it in words."""
        job = f", job {self.job}" if self.job else ""
        return f"process {self.process} on {self.host}{job}"


def host() -> str:
    """Return this host's name."""
    return socket.gethostname()


def sign(descriptor: int, owner: Owner | None) -> None:
    """Write the owner into an open lock file; None: it has none any more."""
    text = "" if owner is None else json.dumps(asdict(owner)) + "\n"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def signed(descriptor: int) -> Owner | None:
    """Return the owner that an open lock file names, or None."""
    try:
        return Owner(**json.loads(os.pread(descriptor, 1000, 0)))
    except (ValueError, TypeError):
        return None


def is_alive_elsewhere(descriptor: int) -> bool:
    """Whether the file names an owner on another host that touched it lately; by the clocks, to within a minute."""
    owner = signed(descriptor)
    return owner is not None and owner.host != host() and time.time() - os.fstat(descriptor).st_mtime < SILENCE


def wait_for_other_hosts(descriptor: int, waiting: Callable[[str], None] | None) -> None:
    """Return when no other host owns the lock: it gave it back, or has not touched it for long, or its job is gone."""
    said = False
    seen, since, asked = -1, time.monotonic(), 0.0
    while (owner := signed(descriptor)) is not None and owner.host != host():
        touched = os.fstat(descriptor).st_mtime_ns
        now = time.monotonic()
        if touched != seen:
            seen, since = touched, now
        if now - since > SILENCE:
            return
        if owner.job is not None and now - asked > ASK_SLURM:
            asked = now
            if is_gone(owner.job):
                return
        if waiting is not None and not said:
            waiting(str(owner))
            said = True
        time.sleep(min(1.0, SILENCE / 10))


def is_gone(job: str) -> bool:
    """Whether Slurm knows for sure that a job runs no more; False where it cannot be asked."""
    if shutil.which("squeue") is None:
        return False
    try:
        done = subprocess.run(
            ["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T"],
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    if done.returncode:
        return "Invalid job id" in done.stderr
    return done.stdout.strip() not in ("RUNNING", "COMPLETING", "SUSPENDED", "CONFIGURING")


@contextlib.contextmanager
def owned(descriptor: int) -> Iterator[Owner]:
    """Put this process's name into an open lock file and touch the file until the block ends."""
    owner = Owner()
    sign(descriptor, owner)
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            with contextlib.suppress(OSError):
                os.utime(descriptor)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield owner
    finally:
        over.set()
        thread.join()
        if signed(descriptor) == owner:
            sign(descriptor, None)
