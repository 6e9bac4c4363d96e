"""One fault: where it is made, how the command is given again behind it, and what counts against it."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.faults.graphs import GRAPHS, RUN, SWEEP, Graph
from bench.faults.outputs import DATABASE, copied, finished, report, results, tracked
from bench.faults.processes import Ended, end, start
from tests.support.llm_server import Server

REMEDIES = 3
"""How many messages in a row may each name something to remove."""
REMOVE = re.compile(r"(/\S+): a \w+ stands .*remove it|remove the folder (/\S+?),|(/\S+) is damaged.*[Rr]emove it")
"""What a message names to be removed."""
ORDER = ("prepare", "train", "merge", "generate", "score", "perplexity")


@dataclass
class Case:
    """A fault that is drawn and made, and what was seen."""

    random: random.Random
    folder: Path
    server: Server
    """One that answers as it should."""
    graph: Graph = RUN
    what: str = ""
    """The fault in words."""
    blind: bool = False
    """Whether MLflow's database may hold other values than it was given: it has no digest of its own."""
    lost: list[str] = field(default_factory=list)
    """Sound steps that were lost or made again."""
    wrong: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Draw the graph."""
        self.graph = self.random.choice([*GRAPHS, RUN, SWEEP])

    @property
    def outputs(self) -> Path:
        """The outputs folder that the fault is made in."""
        return self.folder / "outputs"

    @property
    def reference(self) -> Path:
        """Outputs of an undisturbed command."""
        return self.folder / self.graph.name

    def begin(self, keep: float | None = None) -> list[str]:
        """Put a copy of the undisturbed run into place, and return the steps of it that are still to be made.

        Args:
            keep: share of the steps to keep, each with all that it was made from; None: all, and the report too.
        """
        self.what = f"{self.graph.name}: {self.what}"
        copied(self.reference, self.outputs)
        if keep is None:
            return []
        steps = sorted(finished(self.outputs), key=lambda key: (ORDER.index(key.split("/")[0]), key))
        dropped = [key for key in steps if self.random.random() > keep] or [self.random.choice(steps)]
        for key in dropped:
            shutil.rmtree(self.outputs / key)
        for name in ("runs", "sweeps", "cache"):
            shutil.rmtree(self.outputs / name, ignore_errors=True)
        return dropped

    def start(self, name: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start the command; what it says goes to the folder ``name``."""
        asked = self.graph.arguments(self.folder, self.server.address, self.outputs)
        return start(asked, self.folder / name, {**self.graph.environment, **(environment or {})})

    def end(self, process: subprocess.Popen[str], name: str) -> Ended:
        """Wait for the end of a command that was started, and return what it said."""
        return self.told(end(process, self.folder / name), name)

    def command(self, environment: Mapping[str, str] | None = None, name: str = "again") -> Ended:
        """Give the command, wait for its end, and return what it said."""
        return self.end(self.start(name, environment), name)

    def told(self, ended: Ended, name: str) -> Ended:
        """Count what nobody should see of a command that has ended."""
        if ended.traceback:
            self.tracebacks.append(f"{name}: {(ended.out + ended.err)[-2000:]}")
        if ended.code == 99:
            self.wrong.append(f"{name}: it never ended")
        elif ended.code > 0 and len(re.findall("^Error: ", ended.err, re.MULTILINE)) != 1:
            self.wrong.append(f"{name}: exit code {ended.code} and no message: {ended.err[-500:]!r}")
        return ended

    def settle(self, sound: Mapping[str, str]) -> None:
        """Give the command again until it is through, and hold what it leaves against an undisturbed run.

        Args:
            sound: the steps that were finished and whole when it was given, and when they were made.
        """
        ended = self.command()
        for _ in range(REMEDIES):
            found = REMOVE.search(ended.message)
            named = Path(next(name for name in found.groups() if name)) if found else None
            if named is None or not named.is_relative_to(self.outputs):
                break
            self.what += f"; removed {named.relative_to(self.outputs)}, as was said"
            shutil.rmtree(named) if named.is_dir() else named.unlink(missing_ok=True)
            ended = self.command()
        if ended.code:
            self.wrong.append(f"exit code {ended.code}: {ended.err[-500:]}")
            return
        if "Warning: " in ended.out:
            self.wrong.append(f"a warning stays: {ended.message[:500]}")
        after, expected = finished(self.outputs), results(self.reference)
        self.lost += [key for key, made in sound.items() if after.get(key) != made]
        self.wrong += [f"{key} is missing" for key in finished(self.reference).keys() - after.keys()]
        now = results(self.outputs)
        if after == finished(self.reference):
            expected, now = expected | report(self.reference), now | report(self.outputs)
        self.wrong += [f"{name} differs" for name, content in expected.items() if now.get(name) != content]
        if (self.reference / DATABASE).exists() and not self.blind:
            self._hold_tracking()

    def _hold_tracking(self) -> None:
        """Hold what MLflow has against an undisturbed run."""
        try:
            now, expected = tracked(self.outputs), tracked(self.reference)
        except sqlite3.Error as error:
            self.wrong.append(f"{DATABASE} cannot be read: {error}")
            return
        differ = [row for row in expected if row not in now] + [row for row in now if row not in expected]
        if differ or len(now) != len(expected):
            self.wrong.append(f"{DATABASE} holds {len(now)} values for {len(expected)}: {differ[:4]}")
