"""Measures how often 95 % intervals hold the truth, and fails where they miss the bar.

    python -m bench.coverage [--experiments 10000]

Cells with fewer than 5 expected events in a benchmark are marked ``few``.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from bench.coverage.bar import failures, mean_of
from bench.coverage.cells import FEW, NAMED, cells
from bench.coverage.simulate import Covered, coverage

EXPERIMENTS = 10_000
SEED = 20_240
BASELINE = 2_000
"""Experiments of a bootstrap, which takes long."""


def main(experiments: int) -> int:
    """Print the table and return 1 where the bar is missed."""
    found: list[tuple] = []
    print(f"{'cell':58} {'covered':>8} {'width':>8} {'before':>8}  events")
    for number, cell in enumerate(dict.fromkeys(cells())):
        # A generator of its own for each cell, so that a cell can be measured alone.
        measured = coverage(cell, experiments, np.random.default_rng([SEED, number]))
        before: Covered | None = None
        if cell in NAMED:
            few = min(experiments, BASELINE)
            before = coverage(cell, few, np.random.default_rng([SEED, number, 1]), baseline=True)
        found.append((cell, measured))
        rare = f"{measured.events:6.1f}{' few' if measured.events < FEW else ''}"
        old = f"{100 * before.share:7.1f}%" if before else ""
        print(f"{cell.name:58} {100 * measured.share:7.2f}% {100 * measured.width:8.2f} {old:>8} {rare}", flush=True)
    print(f"{len(found)} cells, mean {100 * mean_of(found):.2f} %")
    missed = failures(found, experiments)
    for line in missed:
        print(line)
    return 1 if missed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m bench.coverage", description="Measure how often 95 % intervals hold the truth."
    )
    parser.add_argument("--experiments", type=int, default=EXPERIMENTS, help="simulated experiments of each cell")
    sys.exit(main(parser.parse_args().experiments))
