"""Makes faults and prints a table of what came of them; a run that was stopped goes on where it was.

``python -m bench.faults --faults 500 --seed 0 --folder /tmp/faults``: each fault is a line of ``log.jsonl`` there.
``--only KIND`` makes faults of one kind, ``--again NUMBER`` makes one again and leaves its folder.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.faults import corruption, kills, machine, server
from bench.faults.case import Case
from bench.faults.graphs import GRAPHS, RUN

KINDS: dict[str, Callable[[Case], None]] = {
    "kill": kills.killed,
    "corrupt": corruption.corrupted,
    "server": server.asked_of_a_hostile_server,
    "edit": corruption.edited,
    "disk": machine.full,
    "swap": corruption.swapped,
    "hosts": machine.hosts,
    "clock": machine.backwards,
    "stop": kills.stopped,
    "lease": machine.leased,
    "rot": corruption.rotten,
    "remains": kills.remains,
}
OFTEN = ("corrupt", "edit", "corrupt", "edit", "swap") * 2
"""Kinds that there are many of, and that take seconds; made again in each round through all kinds."""


def main() -> int:
    """Make the faults; returns 1 where one was not survived."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("faults"))
    parser.add_argument("--only", choices=sorted(KINDS))
    parser.add_argument("--again", type=int)
    options = parser.parse_args()
    folder: Path = options.folder.absolute()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background the commands would ignore it
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    kinds = [kind for kind in (*KINDS, *OFTEN) if kind != "disk" or machine.can_mount()]
    kinds = [options.only] if options.only else kinds
    log = folder / "log.jsonl"
    prepare(folder)
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    rows = [row for row in rows if row["seed"] == options.seed]
    done = {(row["kind"], row["number"]) for row in rows}
    numbers = [options.again] if options.again is not None else range(options.faults)
    for number in numbers:
        kind = kinds[number % len(kinds)]
        if options.again is None and (kind, number) in done:
            continue
        row = fault(kind, number, options.seed, folder, options.again is not None)
        rows.append(row)
        with log.open("a") as file:
            file.write(json.dumps(row) + "\n")
        bad = [name for name in ("lost", "wrong", "tracebacks") if row[name]]
        print(f"{number:3d} {kind:8} {row['seconds']:5.1f} s  {row['what']}  {', '.join(bad) or 'ok'}", flush=True)
        for name in bad:
            print(f"      {name}: {'; '.join(row[name])[:1500]}", flush=True)
    return table(rows)


def prepare(folder: Path) -> None:
    """Make the undisturbed runs that faults are held against."""
    for graph in GRAPHS:
        with server.served() as sound:
            case = Case(random.Random(0), folder, sound)
            case.graph = graph
            if case.reference.exists():
                continue
            shutil.rmtree(case.outputs, ignore_errors=True)  # where each fault is made: a report names its folder
            ended = case.command(name="first")
        if ended.code:
            sys.exit(f"the undisturbed {graph.name} ended with {ended.code}: {ended.err}")
        if graph is RUN:
            (weights,) = [
                path for path in case.outputs.glob("train/*") if "pre-train" in (path / "step.json").read_text()
            ]
            shutil.copytree(weights / "model", folder / "model", dirs_exist_ok=True)
        case.outputs.rename(case.reference)


def fault(kind: str, number: int, seed: int, folder: Path, keep: bool) -> dict[str, Any]:
    """Make a fault; its folder stays where it was not survived."""
    began = time.monotonic()
    with server.served() as sound:
        case = Case(random.Random(f"{seed}/{number}/{kind}"), folder, sound)
        KINDS[kind](case)
    row: dict[str, Any] = {"seed": seed, "number": number, "kind": kind, "what": case.what}
    row |= {"lost": case.lost, "wrong": case.wrong, "tracebacks": case.tracebacks}
    if (case.lost or case.wrong or case.tracebacks) and not keep and case.outputs.exists():
        failed = folder / f"failed-{seed}-{number}"
        shutil.rmtree(failed, ignore_errors=True)
        shutil.move(case.outputs, failed)
    return {**row, "seconds": round(time.monotonic() - began, 1)}


def table(rows: list[dict[str, Any]]) -> int:
    """Print how many faults of each kind there were and what came of them; returns 1 where one was not survived."""
    print(f"{'kind':10}{'faults':>8}{'lost':>8}{'wrong':>8}{'tracebacks':>12}")
    names = ("lost", "wrong", "tracebacks")
    for kind in [*KINDS, "all"]:
        chosen = [row for row in rows if kind in ("all", row["kind"])]
        counts = [sum(bool(row[name]) for row in chosen) for name in names]
        print(f"{kind:10}{len(chosen):8}{counts[0]:8}{counts[1]:8}{counts[2]:12}")
    return int(any(row[name] for row in rows for name in names))


if __name__ == "__main__":
    sys.exit(main())
