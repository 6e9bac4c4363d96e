"""One fault: where it is made, how the command is given again behind it, and what counts against it."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.faults.graph import Ended, arguments, copied, end, finished, report, results, start

REMEDIES = 3
"""How many messages in a row may each name something to remove."""
REMOVE = re.compile(r"(/\S+): a \w+ stands .*remove it|remove the folder (/\S+?),")
"""What a message names to be removed."""


@dataclass
class Case:
    """A fault that is drawn and made, and what was seen."""

    random: random.Random
    folder: Path
    reference: Path
    """Outputs of an undisturbed run."""
    served: Path
    """Those of an undisturbed run with a server."""
    what: str = ""
    """The fault in words."""
    lost: list[str] = field(default_factory=list)
    """Sound steps that were lost or made again."""
    wrong: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)

    @property
    def outputs(self) -> Path:
        """The outputs folder that the fault is made in."""
        return self.folder / "outputs"

    def begin(self, keep: float | None = None) -> list[str]:
        """Put a copy of the undisturbed run into place, and return the steps of it that are still to be made.

        Args:
            keep: share of the steps to keep, each with all that it was made from; None: all, and the report too.
        """
        copied(self.reference, self.outputs)
        if keep is None:
            return []
        order = ["prepare", "train", "generate", "score"]
        steps = sorted(finished(self.outputs), key=lambda key: (order.index(key.split("/")[0]), key))
        dropped = [key for key in steps if self.random.random() > keep] or [self.random.choice(steps)]
        for key in dropped:
            shutil.rmtree(self.outputs / key)
        shutil.rmtree(self.outputs / "runs")
        return dropped

    def command(self, environment: Mapping[str, str] | None = None, name: str = "again") -> Ended:
        """Give the command, wait for its end, and return what it said."""
        place = self.folder / name
        return self.told(end(start(arguments(self.outputs), place, environment), place), name)

    def told(self, ended: Ended, name: str) -> Ended:
        """Count what nobody should see of a command that has ended."""
        if ended.traceback:
            self.tracebacks.append(f"{name}: {(ended.out + ended.err)[-2000:]}")
        if ended.code == 99:
            self.wrong.append(f"{name}: it never ended")
        elif ended.code > 0 and ended.err.count("Error: ") != 1:
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
            named = Path(found.group(1) or found.group(2)) if found else None
            if ended.code == 0 or named is None or not named.is_relative_to(self.outputs):
                break
            self.what += f"; removed {named.relative_to(self.outputs)}, as was said"
            shutil.rmtree(named) if named.is_dir() else named.unlink(missing_ok=True)
            ended = self.command()
        if ended.code:
            self.wrong.append(f"exit code {ended.code}: {ended.err[-500:]}")
            return
        after, expected = finished(self.outputs), results(self.reference)
        self.lost += [key for key, made in sound.items() if after.get(key) != made]
        self.wrong += [f"{key} is missing" for key in finished(self.reference).keys() - after.keys()]
        now = results(self.outputs)
        if after == finished(self.reference):
            expected, now = report(self.reference), report(self.outputs)
        self.wrong += [f"{name} differs" for name, content in expected.items() if now.get(name) != content]
