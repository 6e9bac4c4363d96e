"""What is known of the steps of an outputs folder: ``python -m safetax.steps list | show | why``."""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetax.config.flat import flatten
from safetax.formatting import bytes_in_words, clock
from safetax.run.step_index import StepIndex, size_of
from safetax.run.terminal import add_row, plain_table, say
from safetax.store.locks import owner
from safetax.store.manifest import ATTEMPT, LOG
from safetax.store.status import described, most_similar

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {"complete": "green", "running": "cyan", "unfinished": "yellow", "damaged": "red", "stale": "red"}
LOG_LINES = 15
MOST_SIMILAR = 3
MOST_DIFFERENCES = 12


def list_steps(index: StepIndex, chosen: argparse.Namespace, console: Console) -> int:
    """Print a table of the steps."""
    table = plain_table("kind", "fingerprint", "what it is", "state", ">size", ">age", ">took")
    count = total = 0
    for key, directory in index.folders.items():
        kind, fingerprint = key.split("/")
        if chosen.kind and kind not in chosen.kind:
            continue
        state = index.state(key)
        if chosen.state and state not in chosen.state:
            continue
        frozen = index.frozen(key)
        size = size_of(directory)
        count, total = count + 1, total + size
        seconds = frozen.get("provenance", {}).get("seconds")
        add_row(
            table,
            kind,
            fingerprint,
            frozen.get("title", "?"),
            _styled(state),
            bytes_in_words(size),
            age_in_words(frozen, directory),
            "" if seconds is None else clock(seconds),
        )
    if count:
        console.print(table)
    console.print(f"{count} step{'s' * (count != 1)}, {bytes_in_words(total)} in {index.outputs}", soft_wrap=True)
    return 0


def show(index: StepIndex, chosen: argparse.Namespace, console: Console) -> int:
    """Print all that is known of a step."""
    key = index.find(chosen.key)
    directory = index.store.directory(key)
    frozen = index.frozen(key)
    state = index.state(key)
    say(console, f"{key}  {frozen.get('title', '')}")
    say(console, f"{state}, {bytes_in_words(size_of(directory))}, {directory}")
    _section(console, "identity", flatten(frozen.get("identity", {})))
    inputs = {}
    for name, entry in frozen.get("inputs", {}).items():
        source = entry if isinstance(entry, str) else entry["step"]
        inputs[name] = f"{source}  {index.frozen(source).get('title', '')}  ({index.state(source)})"
    _section(console, "inputs", inputs)
    if "outputs" in frozen:
        files = {
            name: f"{bytes_in_words(entry['size']):>9}  sha256 {entry['sha256'][:16]}"
            for name, entry in frozen["outputs"].items()
        }
        _section(console, "outputs", files)
    _section(console, "summary", flatten(frozen.get("summary", {})))
    _section(console, "provenance", flatten(frozen.get("provenance", {})))
    runs = index.used_by(key)
    _section(console, "used by", {run.name: "" for run in runs} or {"no run": ""})
    return 0


def why(index: StepIndex, chosen: argparse.Namespace, console: Console) -> int:
    """Print why a step is, or is not, reused."""
    key = index.find(chosen.key)
    directory = index.store.directory(key)
    frozen = index.frozen(key)
    status = index.store.status(key)
    at_work = owner(directory)
    say(console, f"{key}  {frozen.get('title', '')}")
    if status.complete:
        say(console, "It is complete and reused: its outputs are whole, and its inputs are those it was made from.")
    else:
        say(console, f"It is not reused; {status.state}: {status.reason}.")
        if at_work:
            say(console, f"It is being made now: {at_work} holds its lock.")
        for name, entry in frozen.get("inputs", {}).items():
            source = entry if isinstance(entry, str) else entry["step"]
            known = index.store.status(source)
            if not known.complete:
                say(console, f"Its input {name} ({source}) is not complete either; {known.state}: {known.reason}.")
        runs = index.used_by(key)
        if runs:
            command = shlex.join(["python", "-m", "safetax", *runs[0].overrides])
            say(console, f"The run {runs[0].name} uses it; this makes it again: {command}")
        if status.state == "unfinished" and not at_work:
            log = tail(directory / LOG)
            say(console, f"It failed or was killed. The end of {directory / LOG}:" if log else "It has no log.")
            for line in log:
                say(console, f"  {line}")
    if "identity" in frozen:
        kind, fingerprint = key.split("/")
        finished = (manifest for manifest in index.store.finished() if manifest["kind"] == kind)
        others = [(each, described(each)) for each in finished if each["fingerprint"] != fingerprint]
        for manifest, differences in most_similar(frozen, others, MOST_SIMILAR):
            other = f"{manifest['kind']}/{manifest['fingerprint']}"
            say(console, f"\nAgainst {other}  {manifest['title']}, it has other values (theirs -> its own) in:")
            for line in differences[:MOST_DIFFERENCES]:
                say(console, f"  {line}")
            if len(differences) > MOST_DIFFERENCES:
                say(console, f"  and {len(differences) - MOST_DIFFERENCES} more")
    return 0


def tail(log: Path) -> list[str]:
    """Return the last lines that a step's last attempt left in its log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 64 * 1024))
            lines = file.read().decode(errors="backslashreplace").splitlines()
    except FileNotFoundError:
        return []
    begun = max((index for index, line in enumerate(lines) if line.startswith(ATTEMPT)), default=0)
    return [line for line in lines[begun:] if line.strip()][-LOG_LINES:]


def age_in_words(frozen: Mapping[str, Any], directory: Path) -> str:
    """Return how long ago a step was finished or, where it is not, touched."""
    try:
        then = datetime.fromisoformat(frozen["provenance"]["finished"]).timestamp()
    except (KeyError, TypeError, ValueError):
        then = directory.stat().st_mtime
    seconds = max(0.0, datetime.fromtimestamp(time.time(), UTC).timestamp() - then)
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _styled(state: str) -> Any:
    from rich.text import Text

    return Text(state, style=STYLES.get(state, ""))


def _section(console: Console, name: str, values: Mapping[str, str]) -> None:
    if values:
        say(console, f"\n{name}", "bold")
        width = max(map(len, values))
        for key, value in values.items():
            say(console, f"  {key:<{width}}  {value}".rstrip())
