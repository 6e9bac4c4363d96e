"""The steps on disk: ``python -m safetax.steps list | show KEY | why KEY | verify [KEY..] | prune``.

KEY is ``kind/fingerprint``, a fingerprint, the beginning of either, or a step's folder.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from safetax.config.flat import flatten
from safetax.config.messages import nearest
from safetax.errors import UserError
from safetax.formatting import clock
from safetax.run.prune import (
    Removable,
    RunRecord,
    dropped_runs,
    find_removable,
    read_runs,
    remove,
    size_of,
    step_folders,
)
from safetax.run.terminal import standard_console
from safetax.store.claims import living
from safetax.store.locks import exclusive_use, owner
from safetax.store.manifest import ATTEMPT, LOG, STEP, read_json, read_manifest
from safetax.store.status import Store, most_similar
from safetax.store.step import VERSIONS, fingerprint_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

STATES = ("complete", "running", "unfinished", "damaged", "stale", "absent")
STYLES = {"complete": "green", "running": "cyan", "unfinished": "yellow", "damaged": "red", "stale": "red"}
LOG_LINES = 15
MOST_SIMILAR = 3
MOST_DIFFERENCES = 12
MOST_NAMED = 5


class _Parser(argparse.ArgumentParser):
    """Says a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"Error: {message} (see {self.prog} --help)\n")


class Steps:
    """The steps of an outputs folder, by key, and the runs that use them."""

    def __init__(self, outputs: Path) -> None:
        if not outputs.is_dir():
            raise UserError(f"--outputs {outputs}: there is no such folder; name the outputs folder of your runs.")
        self.outputs = outputs
        self.store = Store(outputs)
        self.runs = read_runs(outputs)
        self.folders = {f"{path.parent.name}/{path.name}": path for path in step_folders(outputs)}
        self.known = self.folders.keys() | {key for run in self.runs for key in run.steps or ()}

    def find(self, text: str) -> str:
        """Return the key that a user means.

        Raises:
            UserError: no step, or several, begin so.
        """
        parts = text.rstrip("/").split("/")
        wanted = "/".join(parts[-2:])
        if wanted in self.known:
            return wanted
        found = sorted(key for key in self.known if key.startswith(wanted) or key.split("/")[1].startswith(wanted))
        if len(found) == 1:
            return found[0]
        if found:
            named = ", ".join(found[:MOST_NAMED]) + (", ..." if len(found) > MOST_NAMED else "")
            raise UserError(f"{text}: {len(found)} steps begin so ({named}); write more of it.")
        names = [*self.known, *(key.split("/")[1] for key in self.known)]
        raise UserError(f"{text}: there is no such step in {self.outputs}.{nearest(wanted, names)}")

    def frozen(self, key: str) -> dict[str, Any]:
        """Return a step's manifest or, where it is not finished, its description; empty where it has neither."""
        directory = self.store.directory(key)
        return read_manifest(directory) or read_json(directory / STEP) or {}

    def state(self, key: str) -> str:
        """Return the state of a step; a step that is not complete and has its lock held is running."""
        state = self.store.status(key).state
        return "running" if state != "complete" and owner(self.store.directory(key)) else state

    def used_by(self, key: str) -> list[RunRecord]:
        """Return the runs that use a step."""
        return [run for run in self.runs if key in (run.steps or ())]


def list_steps(steps: Steps, chosen: argparse.Namespace, console: Console) -> int:
    """Print a table of the steps."""
    table = _table("kind", "fingerprint", "what it is", "state", ">size", ">age", ">took")
    count = total = 0
    for key, directory in steps.folders.items():
        kind, fingerprint = key.split("/")
        if chosen.kind and kind not in chosen.kind:
            continue
        state = steps.state(key)
        if chosen.state and state not in chosen.state:
            continue
        frozen = steps.frozen(key)
        size = size_of(directory)
        count, total = count + 1, total + size
        seconds = frozen.get("provenance", {}).get("seconds")
        _row(
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
    console.print(f"{count} step{'s' * (count != 1)}, {bytes_in_words(total)} in {steps.outputs}", soft_wrap=True)
    return 0


def show(steps: Steps, chosen: argparse.Namespace, console: Console) -> int:
    """Print all that is known of a step."""
    key = steps.find(chosen.key)
    directory = steps.store.directory(key)
    frozen = steps.frozen(key)
    state = steps.state(key)
    _say(console, f"{key}  {frozen.get('title', '')}")
    _say(console, f"{state}, {bytes_in_words(size_of(directory))}, {directory}")
    _section(console, "identity", flatten(frozen.get("identity", {})))
    inputs = {}
    for name, entry in frozen.get("inputs", {}).items():
        source = entry if isinstance(entry, str) else entry["step"]
        inputs[name] = f"{source}  {steps.frozen(source).get('title', '')}  ({steps.state(source)})"
    _section(console, "inputs", inputs)
    if "outputs" in frozen:
        files = {
            name: f"{bytes_in_words(entry['size']):>9}  sha256 {entry['sha256'][:16]}"
            for name, entry in frozen["outputs"].items()
        }
        _section(console, "outputs", files)
    _section(console, "summary", flatten(frozen.get("summary", {})))
    _section(console, "provenance", flatten(frozen.get("provenance", {})))
    runs = steps.used_by(key)
    _section(console, "used by", {run.name: "" for run in runs} or {"no run": ""})
    return 0


def why(steps: Steps, chosen: argparse.Namespace, console: Console) -> int:
    """Print why a step is, or is not, reused."""
    key = steps.find(chosen.key)
    directory = steps.store.directory(key)
    frozen = steps.frozen(key)
    status = steps.store.status(key)
    at_work = owner(directory)
    _say(console, f"{key}  {frozen.get('title', '')}")
    if status.complete:
        _say(console, "It is complete and reused: its outputs are whole, and its inputs are those it was made from.")
    else:
        _say(console, f"It is not reused; {status.state}: {status.reason}.")
        if at_work:
            _say(console, f"It is being made now: {at_work} holds its lock.")
        for name, entry in frozen.get("inputs", {}).items():
            source = entry if isinstance(entry, str) else entry["step"]
            known = steps.store.status(source)
            if not known.complete:
                _say(console, f"Its input {name} ({source}) is not complete either; {known.state}: {known.reason}.")
        runs = steps.used_by(key)
        if runs:
            command = shlex.join(["python", "-m", "safetax", *runs[0].overrides])
            _say(console, f"The run {runs[0].name} uses it; this makes it again: {command}")
        if status.state == "unfinished" and not at_work:
            log = tail(directory / LOG)
            _say(console, f"It failed or was killed. The end of {directory / LOG}:" if log else "It has no log.")
            for line in log:
                _say(console, f"  {line}")
    if "identity" in frozen:
        others = [manifest for manifest in steps.store.finished() if manifest["fingerprint"] != key.split("/")[1]]
        for manifest, differences in most_similar(frozen, others, MOST_SIMILAR):
            other = f"{manifest['kind']}/{manifest['fingerprint']}"
            _say(console, f"\nAgainst {other}  {manifest['title']}, it has other values (theirs -> its own) in:")
            for line in differences[:MOST_DIFFERENCES]:
                _say(console, f"  {line}")
            if len(differences) > MOST_DIFFERENCES:
                _say(console, f"  and {len(differences) - MOST_DIFFERENCES} more")
    return 0


def verify(steps: Steps, chosen: argparse.Namespace, console: Console) -> int:
    """Hash the outputs of steps in full; returns 1 if any is damaged."""
    keys = [steps.find(text) for text in chosen.keys] if chosen.keys else list(steps.folders)
    whole = size = unfinished = bad = 0
    for key in keys:
        if console.is_terminal:
            console.print(f"{key} ..", end="\r")
        status = steps.store.status(key, full=True)
        wrong = status.reason
        if status.complete:
            manifest = read_manifest(steps.store.directory(key)) or {}
            wrong = inconsistency(key, manifest)
            size += sum(entry["size"] for entry in manifest.get("outputs", {}).values())
            for source in missing_inputs(steps, manifest):
                _say(console, f"{key}: its input {source} is not on disk any more; it is reused all the same.")
        elif status.state in ("absent", "unfinished") and not chosen.keys:
            unfinished += 1
            continue
        if wrong:
            bad += 1
            _say(console, f"{key} {steps.frozen(key).get('title', '')}: {wrong}", "red")
        else:
            whole += 1
    others = f", {unfinished} not finished" if unfinished else ""
    _say(console, f"{whole} steps whole ({bytes_in_words(size)} hashed), {bad} not{others}.")
    return 1 if bad else 0


def inconsistency(key: str, manifest: Mapping[str, Any]) -> str:
    """Return how a manifest contradicts its own fingerprint and folder, or nothing."""
    inputs = {name: entry["step"] for name, entry in manifest["inputs"].items()}
    own = fingerprint_of([manifest.get("kind"), manifest.get("version"), manifest.get("identity"), inputs])
    if f"{manifest.get('kind')}/{manifest.get('fingerprint')}" != key:
        return f"its manifest is that of {manifest.get('kind')}/{manifest.get('fingerprint')}"
    return "" if own == manifest["fingerprint"] else f"its manifest was changed: its identity gives {own}"


def missing_inputs(steps: Steps, manifest: Mapping[str, Any]) -> list[str]:
    """Return the inputs of a finished step that are not finished steps on disk."""
    sources = [entry["step"] for entry in manifest.get("inputs", {}).values()]
    return [source for source in sources if steps.store.manifest(source) is None]


def prune(steps: Steps, chosen: argparse.Namespace, console: Console) -> int:
    """Remove what no kept run refers to; returns 1 where it was not to be."""

    def find() -> list[Removable]:
        runs = read_runs(steps.outputs)
        return find_removable(steps.outputs, runs, dropped_runs(runs, chosen.keep_run, chosen.drop_run))

    removable = find()
    if not removable:
        _say(console, f"Nothing to remove in {steps.outputs}: its runs need all of its steps.")
        return 0
    table = _table("", "what", "what it is", "why", ">size")
    for entry in removable:
        held = entry.what == "step" and owner(entry.path)
        reason = f"stays: {held} is at it" if held else entry.reason
        _row(table, entry.what, entry.key, entry.title, reason, bytes_in_words(entry.size))
    console.print(table)
    total = bytes_in_words(sum(entry.size for entry in removable))
    _say(console, f"{len(removable)} to remove, {total}.")
    dropped = {entry.key for entry in removable if entry.what == "run"}
    for sweep in sorted(steps.outputs.glob("sweeps/*/sweep.json")):
        if dropped & set((read_json(sweep) or {}).get("runs", ())):
            _say(console, f"The sweep {sweep.parent} names such a run; its report stays and cannot be made again.")
    if chosen.dry_run:
        _say(console, "Nothing was removed (--dry-run).")
        return 0
    if not chosen.yes and not confirmed():
        _say(console, "Nothing was removed.")
        return 1
    with exclusive_use(steps.outputs) as free:
        if not free:
            raise UserError(f"A run is at work in {steps.outputs} and counts on its steps; prune when it is done.")
        if waiting := living(steps.outputs):
            jobs = sorted(set(waiting.values()))
            raise UserError(
                f"{len(jobs)} jobs of the cluster ({', '.join(jobs[:5])}{', ..' * (len(jobs) > 5)}) are to make steps "
                f"in {steps.outputs} and count on others there; prune when they have ended, or cancel them."
            )
        # Again, since a run may have ended while the question stood.
        still = {entry.key for entry in find()}
        freed = removed = 0
        for entry in removable:
            held = None if entry.key not in still else remove(entry)
            if held:
                _say(console, f"{entry.key} stays: {held} is at it.")
            elif entry.key in still:
                removed, freed = removed + 1, freed + entry.size
            else:
                _say(console, f"{entry.key} stays: it is needed by now.")
    _say(console, f"{removed} removed, {bytes_in_words(freed)}.")
    return 0


def confirmed() -> bool:
    """Ask whether to remove; no answer is a no."""
    try:
        return input("Remove them? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


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


def bytes_in_words(count: float) -> str:
    """Return a size such as ``2.4 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


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


def _table(*columns: str) -> Table:
    """Return an empty table; a name that begins with ``>`` is a column of numbers."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        right = name.startswith(">")
        table.add_column(name.lstrip(">"), justify="right" if right else "left", no_wrap=name != "what it is")
    return table


def _row(table: Table, *cells: Any) -> None:
    from rich.text import Text

    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))


def _styled(state: str) -> Any:
    from rich.text import Text

    return Text(state, style=STYLES.get(state, ""))


def _section(console: Console, name: str, values: Mapping[str, str]) -> None:
    if values:
        _say(console, f"\n{name}", "bold")
        width = max(map(len, values))
        for key, value in values.items():
            _say(console, f"  {key:<{width}}  {value}".rstrip())


def _say(console: Console, text: str, style: str | None = None) -> None:
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    shared = _Parser(add_help=False)
    shared.add_argument("--outputs", type=Path, default=Path("outputs"), help="the outputs folder (default: outputs)")
    main_parser = _Parser(prog="python -m safetax.steps", description="Look at, check and remove the steps on disk.")
    commands = main_parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    def command(name: str, function: Any, text: str) -> _Parser:
        added = commands.add_parser(name, parents=[shared], help=text, description=text)
        added.set_defaults(function=function)
        return added

    listing = command("list", list_steps, "List the steps.")
    listing.add_argument("--kind", nargs="+", choices=sorted(VERSIONS), help="only these kinds")
    listing.add_argument("--state", nargs="+", choices=STATES, help="only these states")
    key = "kind/fingerprint, fingerprint, or the beginning of either"
    command("show", show, "Show what is known of a step.").add_argument("key", metavar="KEY", help=key)
    command("why", why, "Explain why a step is not reused.").add_argument("key", metavar="KEY", help=key)
    verifying = command("verify", verify, "Hash the outputs of steps in full; exit code 1 if any is damaged.")
    verifying.add_argument("keys", metavar="KEY", nargs="*", help=f"{key}; all steps where none is named")
    pruning = command("prune", prune, "Remove the steps that no kept run refers to, and unfinished ones.")
    pruning.add_argument("--dry-run", action="store_true", help="only say what would go")
    pruning.add_argument("--yes", action="store_true", help="do not ask")
    which = pruning.add_mutually_exclusive_group()
    which.add_argument("--keep-run", metavar="NAME", nargs="+", default=[], help="drop all runs but these")
    which.add_argument("--drop-run", metavar="NAME", nargs="+", default=[], help="drop these runs")
    return main_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 as the command says, 2 for a mistake, 130 interrupted."""
    chosen = parser().parse_args(arguments)
    try:
        return chosen.function(Steps(chosen.outputs), chosen, standard_console())
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Error: interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1


if __name__ == "__main__":
    sys.exit(main())
