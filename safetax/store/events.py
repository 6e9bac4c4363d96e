"""What a worker reports while it runs: begun, progress, finished, failed."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import Any, TextIO

from safetax.errors import complain


@dataclass
class Events:
    """Where a worker reports to.

    Args:
        stream: open text file that takes one line for each event.
        as_json: write JSON for the parent process; else plain words for a person.
    """

    stream: TextIO
    as_json: bool
    _last: dict[str, float] = field(default_factory=dict)

    def send(self, event: str, **values: Any) -> None:
        """Report an event; a failure is told on stderr besides.

        Args:
            event: name of the event.
            values: what belongs to it, as JSON values; a ``failed`` event has a ``message``.
        """
        if event == "failed":
            with contextlib.suppress(OSError):  # the disk may be full, and the log on it
                complain(values["message"], 1)
        if self.as_json:
            self.stream.write(json.dumps({"event": event, **values}) + "\n")
        elif event != "failed":
            self.stream.write(" ".join([event, *(f"{key}={value}" for key, value in values.items())]) + "\n")
        self.stream.flush()

    def progress(self, step: str, done: float, total: float, unit: str, rate: float | None = None) -> None:
        """Report how far a step is, at most four times a second; its end always."""
        now = time.monotonic()
        if done < total and now - self._last.get(step, 0.0) < 0.25:
            return
        self._last[step] = now
        self.send("progress", step=step, done=done, total=total, unit=unit, rate=rate)
