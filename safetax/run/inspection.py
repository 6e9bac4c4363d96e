"""What is known of the steps of an outputs folder: ``python -m safetax.steps list | show | why | verify``."""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from safetax.config.flat import flatten
from safetax.formatting import bytes_in_words, clock
from safetax.run.step_index import StepIndex, size_of
from safetax.run.terminal import add_row, plain_table, say, tail
from safetax.store.locks import owner
from safetax.store.manifest import LOG, read_manifest, sources
from safetax.store.shapes import NUMBER
from safetax.store.status import described, most_similar

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
            Text(state, style=STYLES.get(state, "")),
            bytes_in_words(size),
            age_in_words(frozen, directory),
            clock(seconds) if isinstance(seconds, NUMBER) else "",
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
    for name, source in sources(frozen).items():
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
        for name, source in sources(frozen).items():
            known = index.store.status(source)
            if not known.complete:
                say(console, f"Its input {name} ({source}) is not complete either; {known.state}: {known.reason}.")
        runs = index.used_by(key)
        if runs:
            command = shlex.join(["python", "-m", "safetax", *runs[0].overrides])
            say(console, f"The run {runs[0].name} uses it; this makes it again: {command}")
        if status.state == "unfinished" and not at_work:
            log = tail(directory / LOG, LOG_LINES)
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


def verify(index: StepIndex, chosen: argparse.Namespace, console: Console) -> int:
    """Hash the outputs of steps in full; returns 1 if any is damaged."""
    keys = [index.find(text) for text in chosen.keys] if chosen.keys else list(index.folders)
    whole = size = unfinished = bad = 0
    for key in keys:
        if console.is_terminal:
            console.print(f"{key} ..", end="\r")
        status = index.store.status(key, full=True)
        wrong = status.reason
        if status.complete:
            manifest = read_manifest(index.store.directory(key)) or {}
            size += sum(entry["size"] for entry in manifest.get("outputs", {}).values())
            for source in sources(manifest).values():
                if index.store.manifest(source) is not None:
                    continue
                say(console, f"{key}: its input {source} is not on disk any more; it is reused all the same.")
        elif status.state in ("absent", "unfinished") and not chosen.keys:
            unfinished += 1
            continue
        if wrong:
            bad += 1
            say(console, f"{key} {index.frozen(key).get('title', '')}: {wrong}", "red")
        else:
            whole += 1
    others = f", {unfinished} not finished" if unfinished else ""
    say(console, f"{whole} steps whole ({bytes_in_words(size)} hashed), {bad} not{others}.")
    return 1 if bad else 0


def age_in_words(frozen: Mapping[str, Any], directory: Path) -> str:
    """Return how long ago a step was finished or, where it is not, touched."""
    try:
        then = datetime.fromisoformat(frozen["provenance"]["finished"]).timestamp()
    except (KeyError, TypeError, ValueError):
        then = directory.stat().st_mtime
    seconds = max(0.0, time.time() - then)
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _section(console: Console, name: str, values: Mapping[str, str]) -> None:
    if values:
        say(console, f"\n{name}", "bold")
        width = max(map(len, values))
        for key, value in values.items():
            say(console, f"  {key:<{width}}  {value}".rstrip())
