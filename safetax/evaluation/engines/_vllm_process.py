"""The parent's side of a replica of vLLM: its process, what is under way in it, and the end of its log."""

from __future__ import annotations

import collections
import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from safetax.store.child_process import clean_environment
from safetax.store.threads import usable_cores

Events = queue.Queue[tuple["Replica", dict[str, Any]]]

LOG_LINES = 30
"""How much of a replica's log an error shows."""


class Replica:
    """A process with one copy of the model on its own devices.

    Args:
        number: counts the replicas from 0.
        devices: its GPUs, as in CUDA_VISIBLE_DEVICES; none: it runs on the CPU.
        beside: how many replicas there are, which share the cores.
        settings: what vLLM's engine is started with.
        events: where its events go, each with the replica; the last is ``died``.
    """

    def __init__(
        self, number: int, devices: Sequence[str], beside: int, settings: Mapping[str, Any], events: Events
    ) -> None:
        self.number = number
        self.ready = False
        self.alive = True
        self.under_way: set[int] = set()
        """Indices of the prompts that it is asked for now."""
        self.log: collections.deque[str] = collections.deque(maxlen=LOG_LINES)
        self._events = events
        self.process = subprocess.Popen(
            [sys.executable, "-m", "safetax.evaluation.engines._vllm_replica"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(devices, beside),
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
        )
        where = f"GPU {', '.join(devices)}" if devices else "the CPU"
        print(f"Replica {number} of {beside}: process {self.process.pid}, on {where}", file=sys.stderr, flush=True)
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._hear, self._keep_log)]
        for thread in self._threads:
            thread.start()
        self._send(settings)

    def ask(self, index: int, tokens: Sequence[int], sampling: Mapping[str, Any]) -> None:
        """Ask for a completion; its end is an event ``done`` or ``refused`` with the index as ``id``."""
        self.under_way.add(index)
        self._send({"id": index, "tokens": list(tokens), "sampling": sampling})

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # it died, which is heard on the other pipe
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def _hear(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):  # it died in the middle of a line
            for line in self.process.stdout:
                self._events.put((self, json.loads(line)))
        self._threads[1].join(timeout=5)
        self._events.put((self, {"event": "died"}))

    def _keep_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line.rstrip())
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(f"[replica {self.number}] {line}")

    def close_stdin(self) -> None:
        """Close its standard input: it ends by itself, at once if it is at work."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def end(self, patience: float) -> None:
        """Wait so many seconds for the process to end, then kill it."""
        self.alive = False
        self.close_stdin()
        try:
            self.process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for thread in self._threads:
            thread.join(timeout=5)


def _environment(devices: Sequence[str], beside: int) -> dict[str, str]:
    """Return the environment of a replica; what the user set stays, but for its devices."""
    environment = clean_environment()
    environment |= {"CUDA_VISIBLE_DEVICES": ",".join(devices), "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    defaults = {
        # The engine runs in the replica's own process, which is there for nothing else.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "TOKENIZERS_PARALLELISM": "false",
        "TQDM_DISABLE": "1",
        "GOMP_SPINCOUNT": "1000",  # threads that spin long while they wait stand still on a busy machine
        "PYTHONIOENCODING": "utf-8:backslashreplace",
    }
    if not devices:
        threads = str(max(1, usable_cores() // beside))
        defaults |= {"OMP_NUM_THREADS": threads, "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    return {**defaults, **environment}
