"""Computer algebra on what models wrote, kept apart in a process that may be ended at any time."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import select
import subprocess
import sys
import threading
import weakref
from typing import Literal, cast

from safetax.errors import require

Equality = Literal["equal", "different", "unreadable", "too long"]
"""``unreadable``: one of the two is no expression; ``too long``: not found out in time, or in the memory."""

START_TIMEOUT = 120.0
"""Seconds that the process may take until its first answer, libraries included."""
ANSWER_SLACK = 30.0
"""Seconds that an answer may take longer than all its computing, on a machine that does other things too."""


class Algebra:
    """Says whether expressions are equal; its process starts when it is first asked.

    Args:
        seconds: computing time for one comparison.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        self.seconds = seconds
        self._known: dict[tuple[str, str], Equality] = {}
        self._guard = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._end: weakref.finalize | None = None
        self._warm = False

    def equal(self, gold: str, attempt: str) -> Equality:
        """Return whether two LaTeX expressions are equal. Raises UserError where math-verify is not installed."""
        key = (gold, attempt)
        with self._guard:
            if key not in self._known:
                self._known[key] = self._ask(gold, attempt)
            return self._known[key]

    def close(self) -> None:
        """End the process; it starts again when it is asked again."""
        with self._guard:
            self._stop()

    def _ask(self, gold: str, attempt: str) -> Equality:
        process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps([gold, attempt, self.seconds]) + "\n")
            process.stdin.flush()
            # The process keeps its own time; some of the arithmetic below Python hears no signal, though.
            wait = 4 * self.seconds + (ANSWER_SLACK if self._warm else START_TIMEOUT)
            ready, _, _ = select.select([process.stdout], [], [], wait)
            line = process.stdout.readline() if ready else ""
        except OSError:
            line = ""
        if not line:
            self._stop()
            return "too long"
        self._warm = True
        return cast(Equality, json.loads(line))

    def _start(self) -> subprocess.Popen[str]:
        if importlib.util.find_spec("math_verify") is None:
            raise require("math_verify")
        command = [sys.executable, "-m", "safetax.evaluation.graders.algebra_process"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
        )
        self._end = weakref.finalize(self, _ended, self._process)
        return self._process

    def _stop(self) -> None:
        if self._end is not None:
            self._end()
        self._process, self._end, self._warm = None, None, False


def _ended(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError), process:  # which closes its streams, though nobody reads them, and waits
        process.kill()
