"""How long a large sweep takes to be planned, and how much memory: ``python -m bench.plan [JOBS ..]``.

Each size is planned twice in a process of its own: with as many distinct alignment runs as jobs (seeds), and with few
(``note``, which is no part of any step). Memory should grow with the distinct steps; what a job costs besides is told.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

SWEEPS = {"distinct": "seed=range(0,{jobs})", "alike": "note=choice({notes})"}


def measure(overrides: list[str]) -> dict[str, float]:
    """Compose and plan a sweep in this process and return jobs, steps, seconds and the peak of memory in MiB."""
    from safetax.config.compose import Composer
    from safetax.run.session import Session
    from safetax.run.terminal import counted, standard_console

    composer = Composer()
    composer.jobs([], False)
    before, began = _peak(), time.perf_counter()
    jobs = composer.jobs(overrides, True, counted)
    composed = time.perf_counter()
    plan = Session(standard_console()).plan(jobs)
    planned = time.perf_counter()
    return {
        "jobs": len(jobs),
        "steps": len(plan.steps),
        "compose": composed - began,
        "plan": planned - composed,
        "memory": _peak() - before,
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print a line for each sweep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("jobs", type=int, nargs="*", default=[100, 1000])
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        print(json.dumps(measure([chosen.measure])))
        return
    print("sweep     jobs    steps  compose     plan  ms a job   memory  KiB a job")
    for jobs in chosen.jobs:
        for name, sweep in SWEEPS.items():
            override = sweep.format(jobs=jobs, notes=",".join(f"n{number}" for number in range(jobs)))
            command = [sys.executable, "-m", "bench.plan", "--measure", override]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            seconds = found["compose"] + found["plan"]
            print(
                f"{name:8}{jobs:6,}{found['steps']:9,.0f}{found['compose']:7.1f} s{found['plan']:7.1f} s"
                f"{1000 * seconds / jobs:10.1f}{found['memory']:6.0f} MiB{1024 * found['memory'] / jobs:8.1f}"
            )


if __name__ == "__main__":
    main()
