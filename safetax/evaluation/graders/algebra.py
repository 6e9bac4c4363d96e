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


KNOWN = 10_000
"""Comparisons that are kept in mind."""


class Algebra:
    """Says whether expressions are equal; its process starts when it is first asked.

    Args:
        seconds: computing time for one comparison.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        self.seconds = seconds
        self._known: dict[tuple[str, str, int | None], Equality] = {}
        self._guard = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._end: weakref.finalize | None = None
        self._warm = False

    def equal(self, gold: str, attempt: str, places: int | None = None) -> Equality:
        """Return whether two LaTeX expressions are equal. Raises UserError where the algebra is not installed.

        Args:
            gold: the right answer.
            attempt: the other one.
            places: decimal places to which the right one may be rounded to be the other; None: to none.
        """
        return self.compare(gold, attempt, self.seconds, places)[0]

    def for_one_answer(self) -> AnswerAlgebra:
        """Return the same for an answer of several parts, which share the computing time of one comparison."""
        return AnswerAlgebra(self)

    def compare(self, gold: str, attempt: str, seconds: float, places: int | None = None) -> tuple[Equality, float]:
        """Return whether two LaTeX expressions are equal, and the seconds of computing that it took to find out."""
        key = (gold, attempt, places)
        with self._guard:
            if key in self._known:
                return self._known[key], 0.0
            answer, used = self._ask(gold, attempt, seconds, places)
            if answer != "too long" or seconds >= self.seconds:
                if len(self._known) >= KNOWN:
                    self._known.clear()
                self._known[key] = answer
            return answer, used

    def close(self) -> None:
        """End the process; it starts again when it is asked again."""
        with self._guard:
            self._stop()

    def _ask(self, gold: str, attempt: str, seconds: float, places: int | None) -> tuple[Equality, float]:
        process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps([gold, attempt, seconds, places]) + "\n")
            process.stdin.flush()
            # The process keeps its own time, of computing; on a machine that does other things too, that takes longer.
            wait = 4 * seconds + (ANSWER_SLACK if self._warm else START_TIMEOUT)
            ready, _, _ = select.select([process.stdout], [], [], wait)
            line = process.stdout.readline() if ready else ""
        except OSError:
            line = ""
        if not line:
            self._stop()
            return "too long", seconds
        self._warm = True
        answer, used = json.loads(line)
        return cast(Equality, answer), used

    def _start(self) -> subprocess.Popen[str]:
        if importlib.util.find_spec("latex2sympy2_extended") is None:
            raise require("latex2sympy2_extended")
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


class AnswerAlgebra:
    """The algebra of one answer: what is left of its time is what its next comparison may take."""

    def __init__(self, algebra: Algebra) -> None:
        self._algebra = algebra
        self._left = algebra.seconds

    def equal(self, gold: str, attempt: str, places: int | None = None) -> Equality:
        """Return whether two LaTeX expressions are equal; ``too long`` when the time is used up."""
        if self._left <= 0:
            return "too long"
        answer, used = self._algebra.compare(gold, attempt, self._left, places)
        self._left -= used
        return answer


def _ended(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError), process:  # which closes its streams, though nobody reads them, and waits
        process.kill()
