"""Processes that are killed, interrupted or stopped in the middle of a run."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

from bench.faults.case import ORDER, Case
from bench.faults.corruption import WAYS, corrupt
from bench.faults.outputs import finished, kinds_of_files
from bench.faults.processes import descendants, gone, send

CODES = {
    signal.SIGKILL: {-signal.SIGKILL},
    signal.SIGTERM: {-signal.SIGTERM},
    signal.SIGHUP: {-signal.SIGHUP},
    signal.SIGINT: {130},
}
"""Exit codes of a parent that got a signal."""


def wait_for_work(case: Case, dropped: list[str], is_over: Callable[[], bool]) -> None:
    """Wait until a step that was drawn is begun or finished, and a moment more."""
    goal = case.outputs / case.random.choice(dropped)
    sign = case.random.choice([goal / "runtime.json", goal / "scratch", goal / "manifest.json"])
    moment = case.random.uniform(0, 1.0)
    case.what += f", {moment:.2f} s after {sign.relative_to(case.outputs)}"
    while not sign.exists() and not goal.joinpath("manifest.json").exists() and not is_over():
        time.sleep(0.01)
    time.sleep(moment)


def killed(case: Case) -> None:
    """Kill the parent, its worker, or both."""
    number = case.random.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
    victim = case.random.choice(["parent", "worker", "both"])
    case.what = f"{number.name} to {victim}"
    case.server.pause = case.random.choice([0.0, 0.1])
    dropped = case.begin(keep=0.6)
    process = case.start("first")
    wait_for_work(case, dropped, lambda: process.poll() is not None)
    family = descendants(process.pid)
    if victim != "parent":
        for pid in family if number == signal.SIGKILL else family[:1]:
            send(pid, number)
    if victim != "worker":
        send(process.pid, number)
        if number == signal.SIGINT and case.random.random() < 0.5:
            case.what += ", twice"
            time.sleep(case.random.uniform(0, 0.3))
            send(process.pid, number)
    ended = case.end(process, "first")
    allowed = {0, 1} if victim == "worker" else CODES[number] | {0} | ({1} if victim == "both" else set())
    if ended.code not in allowed:
        case.wrong.append(f"it ended with {ended.code}: {ended.err[-300:]}")
    if not gone(family):
        case.wrong.append("processes of the killed run go on")
    case.settle(finished(case.outputs))


def stopped(case: Case) -> None:
    """Stop processes for a while; then let them go on, or kill the parent before they do."""
    victim = case.random.choice(["parent", "worker", "both"])
    ends = case.random.random() < 0.5
    case.what = f"SIGSTOP to {victim}{', the parent killed meanwhile' if ends else ''}"
    dropped = case.begin(keep=0.6)
    process = case.start("first")
    wait_for_work(case, dropped, lambda: process.poll() is not None)
    family = descendants(process.pid)
    chosen = {"parent": [process.pid], "worker": family, "both": [process.pid, *family]}[victim]
    for pid in chosen:
        send(pid, signal.SIGSTOP)
    time.sleep(case.random.uniform(0.2, 3.0))
    if ends:
        send(process.pid, signal.SIGKILL)
    for pid in chosen:
        send(pid, signal.SIGCONT)
    ended = case.end(process, "first")
    if ended.code not in ((0, -signal.SIGKILL) if ends else (0,)):
        case.wrong.append(f"it ended with {ended.code}: {ended.err[-300:]}")
    if not gone(family):
        case.wrong.append("processes of the killed run go on")
    case.settle(finished(case.outputs))


def remains(case: Case) -> None:
    """Kill a command, and damage what it leaves of an unfinished step, or what it keeps of a server's replies."""
    case.what = "killed"
    dropped = case.begin(keep=0.4)
    case.server.pause = 0.1
    process = case.start("first")
    wait_for_work(case, dropped, lambda: process.poll() is not None)
    for pid in [*descendants(process.pid), process.pid]:
        send(pid, signal.SIGKILL)
    case.end(process, "first")
    case.server.pause = 0.0
    sound = finished(case.outputs)
    kinds = kinds_of_files(case.outputs)
    of_a_step = [path for paths in kinds.values() for path in paths if path.relative_to(case.outputs).parts[0] in ORDER]
    left = [path for path in of_a_step if _step_of(case, path) not in sound] + kinds.get("cache", [])
    left = left or [path for paths in kinds.values() for path in paths]  # it was killed between two steps
    path = case.random.choice(left)
    way = case.random.choice(WAYS)
    case.what += f"; {way} {path.relative_to(case.outputs)}"
    corrupt(case, path, way, kinds)
    case.settle({key: made for key, made in sound.items() if key != _step_of(case, path)})


def _step_of(case: Case, path: Path) -> str:
    return "/".join(path.relative_to(case.outputs).parts[:2])
