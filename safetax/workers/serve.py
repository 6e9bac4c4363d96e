"""The process that workers run in: does requests from its standard input until that closes.

A request is a line ``{"kind": "train", "directories": [..]}``; events go to standard output as JSON lines, everything
else to ``worker.log`` in the step's folder. When the parent dies its end of the pipe closes, and this process ends at
once: what was written stays, and nothing goes on writing.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from safetax.errors import UserError
from safetax.workers.job import Events, work_on


def main() -> int:
    """Serve requests; returns the exit code."""
    events = Events(os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8"), as_json=True)
    sys.stdin.flush()
    os.dup2(2, 1)  # prints of libraries join the log
    requests: queue.Queue[dict[str, Any] | None] = queue.Queue()
    busy = threading.Event()
    threading.Thread(target=_read, args=(requests, busy), daemon=True).start()
    while (request := requests.get()) is not None:
        directories = [Path(directory) for directory in request["directories"]]
        _log_to(directories[0] / "worker.log")
        try:
            busy.set()
            module = importlib.import_module(f"safetax.workers.{request['kind']}")
            work_on(directories, module.work, events)
            events.send("done")
        except UserError as error:
            events.send("failed", message=str(error), user=True)
        except BaseException as error:
            traceback.print_exc()
            events.send("failed", message=f"{type(error).__name__}: {error}", user=False)
            if not isinstance(error, Exception):
                return 1
        finally:
            busy.clear()
    return 0


def _read(requests: queue.Queue[dict[str, Any] | None], busy: threading.Event) -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    if busy.is_set() or not requests.empty():
        # The parent is gone in the middle of a step: its locks go with this process.
        os.killpg(0, 9) if os.getpgrp() == os.getpid() else os._exit(1)
    requests.put(None)


def _log_to(path: Path) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


if __name__ == "__main__":
    sys.exit(main())
