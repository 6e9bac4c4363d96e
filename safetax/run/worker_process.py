"""The parent's side of a worker process: start it, send it steps, hear its events."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetax.errors import UserError
from safetax.store.child_process import clean_environment


class WorkerProcess:
    """A process that does steps, one request after the other.

    It is the leader of its own process group: ranks that it starts end with it.
    """

    def __init__(self, interpreter: str | None = None, log: Path | None = None) -> None:
        """Start the process.

        Args:
            interpreter: of which Python; None: of this one.
            log: where it says what goes wrong before it hears a request; None: nowhere.

        Raises:
            UserError: the interpreter cannot be started.
        """
        environment = clean_environment()
        environment |= {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        environment["PYTHONIOENCODING"] = "utf-8:backslashreplace"  # no print of a library may fail for its characters
        environment.setdefault("TQDM_DISABLE", "1")
        # Threads that spin long while they wait for each other stand still on a busy machine.
        environment.setdefault("GOMP_SPINCOUNT", "1000")
        try:
            with log.open("ab") if log else contextlib.nullcontext(subprocess.DEVNULL) as errors:
                self.process = subprocess.Popen(
                    [interpreter or sys.executable, "-m", "safetax.workers.serve"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=environment,
                    text=True,
                    encoding="utf-8",
                    start_new_session=True,
                )
        except OSError as error:
            if interpreter is None:
                raise
            raise UserError(
                f"runtime.python: {interpreter} cannot be started ({error.strerror}); name an interpreter."
            ) from None
        assert self.process.stdin is not None and self.process.stdout is not None
        self.requests, self.events = self.process.stdin, self.process.stdout

    def do(self, kind: str, directories: Sequence[Path]) -> Iterator[Mapping[str, Any]]:
        """Have a worker do steps; yields its events, the last of which is ``done`` or ``died``."""
        request = {"kind": kind, "directories": [str(directory.absolute()) for directory in directories]}
        with contextlib.suppress(BrokenPipeError):
            self.requests.write(json.dumps(request) + "\n")
            self.requests.flush()
            for line in self.events:
                try:
                    event = json.loads(line)
                except ValueError:
                    break  # it died in the middle of a line
                yield event
                if event["event"] == "done":
                    return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=5)
        self.kill()  # what it started may live on
        yield {"event": "died", "code": self.process.returncode}

    @property
    def alive(self) -> bool:
        """Whether the process can take a request."""
        return self.process.poll() is None

    def close(self) -> None:
        """Let the process end by itself; it has nothing to do any more."""
        with contextlib.suppress(OSError):
            self.requests.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill()
        self.events.close()

    def kill(self) -> None:
        """End the process and all that it started, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
