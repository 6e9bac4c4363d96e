"""Kills ``make lab`` at random moments and runs it again: ``python -m bench.kills [--kills 30] [--quick]``.

A line of runs is killed again and again (``kill -9``: the parent, a worker, or both) until it is through, and then
another begins from nothing. After each kill the outputs are copied, and the copy is run to its end: its results must be
those of an undisturbed run to the byte, no step that was finished may have run again, and no process of the killed run
may go on writing.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LAB = ["-m", "epochs=0,0.5,1,2,5"]
QUICK = ["-m", "+experiment=lab_quick", "epochs=0,1"]
ORPHAN_SECONDS = 15.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="the quick lab instead of the lab")
    options = parser.parse_args()
    overrides = QUICK if options.quick else LAB
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        started = time.monotonic()
        finish(overrides, root / "reference")
        whole = time.monotonic() - started
        expected = digest(root / "reference")
        print(f"undisturbed: {whole:.1f} s, results.json {expected}", flush=True)
        line, bad = root / "line", 0
        for number in range(1, options.kills + 1):
            if list(line.glob("sweeps/*/results.json")):
                shutil.rmtree(line)  # this line is through; the next begins from nothing
            line.mkdir(exist_ok=True)  # a kill may come before the run has made it
            victim = random.choice(["parent", "worker", "both"])
            moment = random.uniform(0, whole / 3)
            orphans = killed(overrides, line, moment, victim)
            finished = manifests(line)
            copy = root / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            subprocess.run(["cp", "-a", str(line), str(copy)], check=True)
            again = time.monotonic()
            finish(overrides, copy)
            again = time.monotonic() - again
            after = manifests(copy)
            twice = [key for key, stamp in finished.items() if after.get(key) != stamp]
            same = digest(copy) == expected
            bad += not same or bool(twice) or bool(orphans)
            told = "identical" if same else "DIFFER"
            print(
                f"kill {number:2d} of the {victim:<6} {moment:5.1f} s into a run: {len(finished):2d} finished, "
                f"run again {again:5.1f} s, results {told}, {len(twice)} steps run twice, {len(orphans)} orphans",
                flush=True,
            )
    print(f"{options.kills} kills, {bad} with a fault")
    sys.exit(bool(bad))


def start(overrides: list[str], outputs: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "safetax", *overrides, f"runtime.outputs={outputs}", "tracking=off"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finish(overrides: list[str], outputs: Path) -> None:
    code = start(overrides, outputs).wait()
    if code:
        raise SystemExit(f"the run in {outputs} ended with code {code}")


def killed(overrides: list[str], outputs: Path, seconds: float, victim: str) -> list[int]:
    """Run, kill, and return the processes that are still there long after."""
    process = start(overrides, outputs)
    deadline = time.monotonic() + max(seconds, 0.2)
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    family = descendants(process.pid)
    workers = family[:1] if victim == "worker" else family
    if victim in ("worker", "both"):
        for pid in workers:
            kill(pid)
    if victim in ("parent", "both"):
        kill(process.pid)
    process.wait()
    deadline = time.monotonic() + ORPHAN_SECONDS
    while (left := [pid for pid in family if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in path.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def manifests(outputs: Path) -> dict[str, str]:
    """Return when each finished step was finished."""
    found = {}
    for path in outputs.glob("*/*/manifest.json"):
        manifest = json.loads(path.read_text())
        found[f"{manifest['kind']}/{manifest['fingerprint']}"] = json.dumps(manifest["provenance"], sort_keys=True)
    return found


def digest(outputs: Path) -> str:
    (results,) = outputs.glob("sweeps/*/results.json")
    return hashlib.sha256(results.read_bytes()).hexdigest()[:12]


if __name__ == "__main__":
    main()
