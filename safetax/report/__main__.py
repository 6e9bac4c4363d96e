"""``python -m safetax.report DIR...``: results, tables, plots and page again from what is on disk."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from safetax.errors import UserError, exit_code
from safetax.results.collect import collect


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the report and return the exit code: 0, 1 for a disk that is full, 2 for a mistake, told in one line."""
    parser = argparse.ArgumentParser(
        prog="python -m safetax.report",
        description="Make results.json, tables, plots and report.html again from what runs left on disk.",
    )
    parser.add_argument(
        "directories",
        metavar="DIR",
        nargs="+",
        type=Path,
        help="an outputs folder, or the folder of a run or sweep in it; several are shown together",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder to write to (default: DIR/report of outputs, DIR of a run or sweep, ./report for several)",
    )
    chosen = parser.parse_args(arguments)
    return exit_code(lambda: _report(chosen.directories, chosen.out or _default(chosen.directories)), "interrupted.")


def _report(directories: Sequence[Path], out: Path) -> int:
    collected = collect(directories)  # before a folder is made: a mistake leaves none
    _make(out)
    from safetax.report.build import build_report

    print(f"Report: {build_report(collected, out)}")
    return 0


def _make(out: Path) -> None:
    """Make the folder; raises UserError where it cannot be made or written to."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UserError(
            f"--out {out}: this folder cannot be made or written to ({error.strerror}); name another one."
        ) from error


def _default(directories: Sequence[Path]) -> Path:
    if len(directories) > 1:
        return Path("report")
    only = directories[0]
    of_a_run = (only / "run.json").is_file() or (only / "sweep.json").is_file()
    return only if of_a_run else only / "report"


if __name__ == "__main__":
    sys.exit(main())
