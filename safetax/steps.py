"""The steps on disk: ``python -m safetax.steps list | show KEY | why KEY | verify [KEY..] | prune``.

KEY is ``kind/fingerprint``, a fingerprint, the beginning of either, or a step's folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from safetax.errors import exit_code
from safetax.run.inspection import list_steps, show, verify, why
from safetax.run.prune import prune
from safetax.run.step_index import StepIndex
from safetax.run.terminal import standard_console
from safetax.store.step import VERSIONS

STATES = ("complete", "running", "unfinished", "damaged", "stale", "absent")


class _Parser(argparse.ArgumentParser):
    """Says a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"Error: {message} (see {self.prog} --help)\n")


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
    return exit_code(lambda: chosen.function(StepIndex(chosen.outputs), chosen, standard_console()), "interrupted.")


if __name__ == "__main__":
    sys.exit(main())
