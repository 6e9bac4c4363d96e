"""Times of the lab and of planning, each against its bar: ``python -m bench.lab [--figure] [--keep DIR]``.

Runs ``make lab`` from nothing and again with all cached, ``plan=true`` and the planner over a sweep of 36 runs; with
``--figure`` also ``make lab-figure`` of one seed. Prints seconds, bar and their ratio.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LAB = ["-m", "+experiment=lab"]
FIGURE = ["-m", "+experiment=lab_figure", "seed=0"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", action="store_true", help="also the epoch figure of one seed")
    parser.add_argument("--keep", type=Path, help="folder for the outputs, kept afterwards")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = options.keep or Path(folder)
        told(
            "python -m safetax plan=true", statistics.median(timed(["plan=true"], root / "none") for _ in range(5)), 1.5
        )
        told("planner, sweep of 36 runs", planner_seconds(), 0.5)
        told("make lab, from nothing", timed(LAB, root / "lab"), 240)
        told("make lab, all cached", timed(LAB, root / "lab", cached=True), 5)
        if options.figure:
            told("make lab-figure SEEDS=0, from nothing", timed(FIGURE, root / "figure"), 480)
            told("make lab-figure SEEDS=0, all cached", timed(FIGURE, root / "figure", cached=True), 5)


def told(what: str, seconds: float, bar: float) -> None:
    print(f"{what:<40} {seconds:8.2f} s   bar {bar:6.1f} s   ratio {seconds / bar:.2f}", flush=True)


def timed(overrides: list[str], outputs: Path, cached: bool = False) -> float:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "safetax", *overrides, f"runtime.outputs={outputs}"], capture_output=True, text=True
    )
    seconds = time.monotonic() - started
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    if cached:
        executed = re.search(r"(\d+) steps executed", done.stdout)
        assert executed is not None and executed[1] == "0", done.stdout
    return seconds


def planner_seconds() -> float:
    """Return the seconds that the planner itself takes over 36 composed runs."""
    from safetax.config.compose import Composer
    from safetax.plan.planner import plan
    from safetax.plan.resolve import Resolver

    overrides = ["dataset=direct_refusal,safechain", "epochs=0,1,2,3,4,5", "seed=0,1,2"]
    jobs = Composer().jobs(overrides, multirun=True)
    assert len(jobs) == 36
    resolver = Resolver()
    resolved = [(resolver.resolve(job.config), job.overrides) for job in jobs]
    times = []
    for _ in range(3):
        started = time.monotonic()
        graph = plan(resolved)
        assert all(step.fingerprint for step in graph.steps) and graph.id
        times.append(time.monotonic() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()
