"""The command: ``python -m safetax [-m] [key=value ..]``.

Composes the configurations, plans, looks for what is missing, and then runs the plan here or submits it. Hydra itself
serves help, ``--cfg``, ``--info`` and completion, and the launchers of other packages.
"""

from __future__ import annotations

import gc
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from safetax.errors import UserError, exit_code

COLLECT_EVERY = 200_000
"""Objects between two runs of the garbage collector. Hardly anything that is made before the work begins is garbage,
and at Python's 700 the collector takes a tenth of that time."""


def main() -> None:
    """Run the command and exit: 0 done, 1 a step or the report failed, 2 a mistake of the user's, 130 interrupted."""
    gc.set_threshold(COLLECT_EVERY)
    if not sys.flags.safe_path and "" not in sys.path:
        sys.path.insert(0, "")  # where ``python -m`` finds modules of the user's own, the console command does too
    interrupted = "interrupted. Finished steps are kept; run the same command again to go on."
    sys.exit(exit_code(lambda: command(sys.argv[1:]), interrupted))


def command(arguments: Sequence[str]) -> int:
    """Do what the arguments ask for; returns the exit code."""
    from safetax.config.hydra import run_hydra

    parsed = parse(arguments)
    if parsed.shell_completion:
        run_hydra(arguments, run_job)
        return 0
    from safetax.config.compose import Composer
    from safetax.config.lab_defaults import check_lab_defaults
    from safetax.plan.record import outputs_folder, target_folder
    from safetax.plan.status import status_of
    from safetax.run.session import OWN_LAUNCHERS, Session
    from safetax.run.terminal import counted, standard_console

    composer = Composer(parsed.config_dir, parsed.config_name or "config")
    jobs = composer.jobs(parsed.overrides, parsed.multirun, counted)
    forced = composer.force(parsed.overrides)
    flags = [argument for argument in arguments if argument not in parsed.overrides]
    if parsed.package is not None:
        composer.check_package(parsed.overrides, parsed.package, parsed.cfg)
    if parsed.help or parsed.hydra_help or parsed.info or parsed.cfg:
        run_hydra([*flags, *forced], run_job)
        return 0
    session = Session(standard_console())
    plan = session.plan(jobs)
    for job in jobs:
        check_lab_defaults(job.config, composer.lab_defaults[job.overrides])
    outputs = outputs_folder(plan)
    status = status_of(plan, outputs)
    if any(job.config.plan for job in jobs):
        session.show(status, composer.launcher)
        return 0
    check_writable(outputs)
    session.check_ready(status, composer.launcher)
    target = target_folder(plan, outputs, parsed.multirun)
    if parsed.multirun and composer.launcher not in OWN_LAUNCHERS:
        run_hydra([*flags, *composer.for_launcher(forced, target)], run_job)
        return 0
    composer.record(forced, target, parsed.multirun)
    session.launch(plan, parsed.multirun, composer.launcher)
    return 0


def parse(arguments: Sequence[str]) -> Namespace:
    """Parse the command line with Hydra's own parser."""
    from safetax.config.hydra import argument_parser

    parser = argument_parser()
    parser.prog = "safetax"
    if "--version" in arguments:
        from importlib.metadata import version

        print(f"safetax {version('safetax')}, Hydra {version('hydra-core')}")
        parser.exit()
    parsed = parser.parse_intermixed_args(list(arguments))
    if parsed.config_path:
        raise UserError(
            f"--config-path={parsed.config_path}: safetax has its own configuration; add a folder of yours to it with "
            "--config-dir."
        )
    if parsed.experimental_rerun:
        raise UserError(
            f"--experimental-rerun={parsed.experimental_rerun}: run the same command again instead; finished steps are "
            "reused."
        )
    flags = ["--run", "--multirun", "--cfg", "--info", "--shell-completion"]
    given = [flag for flag in flags if getattr(parsed, flag.strip("-").replace("-", "_"))]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} do not go together; give one of them.")
    if parsed.resolve and not (parsed.cfg or parsed.help):
        raise UserError(
            "--resolve: it says how --cfg shows the configuration; give --cfg job --resolve, or leave it out."
        )
    if parsed.resolve and parsed.cfg == "hydra":
        raise UserError(
            "--cfg hydra --resolve: Hydra's settings refer to ours; give --cfg all --resolve --package hydra."
        )
    if parsed.package is not None and not parsed.cfg:
        raise UserError(
            f"--package={parsed.package}: it says which part --cfg shows; give --cfg job --package KEY, or leave it "
            "out."
        )
    if parsed.shell_completion:
        check_completion(parsed.overrides)
    return parsed


def check_completion(asked: Sequence[str]) -> None:
    """Raise UserError unless one thing is asked of the completion of a shell that Hydra knows."""
    subcommands, shells = ("install", "uninstall", "query"), ("bash", "fish", "zsh")
    if len(asked) != 1 or asked[0] not in [f"{subcommand}={shell}" for subcommand in subcommands for shell in shells]:
        raise UserError(
            f"--shell-completion {' '.join(asked)}".rstrip() + f": give one of {', '.join(subcommands)} and a shell "
            f"({', '.join(shells)}), as --shell-completion install=bash."
        )


def check_writable(outputs: Path) -> None:
    """Raise UserError unless the outputs folder can be made and written to."""
    existing = outputs
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise UserError(f"runtime.outputs={outputs}: {existing} is no folder that can be written to; name another one.")


def run_job(_: object) -> None:
    """Run the one job of this process, for a launcher of another package, such as submitit_slurm or joblib."""
    from hydra.core.hydra_config import HydraConfig

    from safetax.config.compose import Composer
    from safetax.run.session import Session
    from safetax.run.terminal import standard_console

    settings = HydraConfig.get()
    sources = settings.runtime.config_sources
    own = next((source.path for source in sources if source.provider == "command-line"), None)
    composer = Composer(own, settings.job.config_name or "config")
    session = Session(standard_console())
    plan = session.plan([composer.job(composer.force(settings.overrides.task))])
    session.launch(plan, False, composer.launcher)


if __name__ == "__main__":
    main()
