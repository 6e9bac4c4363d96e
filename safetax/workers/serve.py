"""The process that workers run in: does requests from its standard input until that closes.

A request is a line ``{"kind": "train", "directories": [..]}``; events go to standard output as JSON lines, the last of
a request is ``done``. Everything else goes to ``worker.log`` in the step's folder. When the parent dies its end of the
pipe closes, and this process ends at once, also while it waits for a lock: what was written stays, and nothing goes on
writing.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetax.store.events import Events
from safetax.store.manifest import ATTEMPT, LOG
from safetax.store.work_loop import work_on

Requests = queue.Queue[dict[str, Any] | None]


def main() -> int:
    """Serve requests; returns the exit code."""
    events = Events(os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8"), as_json=True)
    os.dup2(2, 1)  # prints of libraries join the log
    requests: Requests = queue.Queue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    served: set[str] = set()
    new = False  # whether the last request was the first of its kind
    while (request := requests.get()) is not None:
        if new:
            # The libraries that it loaded stay; looking through them again and again took 5 % of a small training.
            gc.collect()
            gc.freeze()
        new = request["kind"] not in served
        served.add(request["kind"])
        module = importlib.import_module(f"safetax.workers.{request['kind']}")
        directories = [Path(directory) for directory in request["directories"]]
        work_on(directories, module.work, events, getattr(module, "TOGETHER", False), _log_to)
        requests.task_done()
        events.send("done")
    return 0


def _read(requests: Requests) -> None:
    with contextlib.suppress(ValueError):  # the parent died in the middle of a line
        for line in sys.stdin:
            requests.put(json.loads(line))
    # The queue's own count of what was put and is not done has no gap between taking a request and being at it.
    if requests.unfinished_tasks:
        # The parent is gone in the middle of a step: its locks go with this process.
        os.killpg(0, signal.SIGKILL) if os.getpgrp() == os.getpid() else os._exit(1)
    requests.put(None)


def _log_to(directories: Sequence[Path]) -> None:
    """Send what is printed to the log of the first step; the others' logs say where it is."""
    first, *others = [directory / LOG for directory in directories]
    log = os.open(first, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # what was printed before did not fit on the disk
            stream.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    print(f"{ATTEMPT}{datetime.now(UTC).isoformat(timespec='seconds')}, process {os.getpid()}", flush=True)
    for other in others:
        with other.open("a", encoding="utf-8") as file:
            file.write(f"Done together with other steps; the log is {first}\n")


if __name__ == "__main__":
    sys.exit(main())
