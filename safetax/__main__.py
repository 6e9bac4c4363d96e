"""The command: ``python -m safetax [-m] [key=value ..]``.

Composes and checks the configuration, plans, and then lets Hydra run the job or, through our launcher, the sweep.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from safetax.errors import StepError, UserError


def main() -> None:
    """Run the command and exit: 0 done, 1 a step or the report failed, 2 a mistake of the user's, 130 interrupted."""
    try:
        code = command(sys.argv[1:])
    except UserError as error:
        complain(str(error))
        code = 2
    except StepError as error:
        complain(str(error))
        code = 1
    except KeyboardInterrupt:
        complain("interrupted. Finished steps are kept; run the same command again to go on.")
        code = 130
    except BrokenPipeError:  # whoever read the output has gone, as in `safetax --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


def complain(text: str) -> None:
    """Print an error for the user."""
    sys.stdout.flush()
    print(f"Error: {text}", file=sys.stderr)


def command(arguments: Sequence[str]) -> int:
    """Do what the arguments ask for; returns the exit code."""
    parsed = parse(arguments)
    if parsed.shell_completion:
        return through_hydra(list(arguments))
    from safetax.config.compose import Composer
    from safetax.plan.record import sweep_folder
    from safetax.run import session as sessions
    from safetax.run.terminal import standard_console

    composer = Composer(parsed.config_dir, parsed.config_name or "config")
    jobs = composer.jobs(parsed.overrides, parsed.multirun)
    forced = composer.force(parsed.overrides)
    flags = [argument for argument in arguments if argument not in parsed.overrides]
    if parsed.package is not None:
        composer.check_package(parsed.overrides, parsed.package, parsed.cfg)
    if parsed.help or parsed.hydra_help or parsed.info or parsed.cfg:
        return through_hydra([*flags, *forced])
    session = sessions.Session(composer, standard_console())
    graph = session.plan(jobs)
    outputs = sessions.outputs_of(jobs[0].config.runtime)
    if any(job.config.plan for job in jobs):
        from safetax.plan.table import print_plan
        from safetax.store.status import Store

        store = Store(outputs, jobs[0].config.runtime.retry_errors)
        print_plan(graph, store, session.console)
        if composer.launcher == sessions.SLURM:
            from safetax.run.slurm.table import print_jobs

            print_jobs(graph, store, session.console)
        if session.resolver.unknown:
            session.say("Not known yet, so that fingerprints may still change:")
        for line in session.resolver.unknown:
            session.say(f"  {line.split('; ')[0]}")
        return 0
    check_writable(outputs)
    elsewhere = composer.launcher == sessions.SLURM or jobs[0].config.stage.name == "prefetch"
    session.check_ready(graph, outputs, here=not elsewhere)
    if composer.launcher == sessions.SLURM:
        from safetax.run.slurm.submit import check_cluster

        check_cluster()
    sessions.current = session
    if parsed.multirun:
        place = f"hydra.sweep.dir={quoted(sweep_folder(graph, outputs))}"
    else:
        place = f"hydra.run.dir={quoted(outputs / 'runs' / graph.runs[0].name)}"
    through_hydra([*flags, place, *forced])
    session.check()
    return 0


def parse(arguments: Sequence[str]) -> Namespace:
    """Parse the command line with Hydra's own parser."""
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
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


def quoted(path: Path) -> str:
    """Return a path as a quoted value of Hydra's override grammar."""
    return "'" + str(path).replace("\\", "\\\\").replace("'", "\\'") + "'"


def check_writable(outputs: Path) -> None:
    """Raise UserError unless the outputs folder can be made and written to."""
    existing = outputs
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise UserError(f"runtime.outputs={outputs}: {existing} is no folder that can be written to; name another one.")


def through_hydra(arguments: list[str]) -> int:
    """Let Hydra do its part of the command; returns the exit code.

    Raises:
        UserError: Hydra cannot make the folder of the run or the sweep.
    """
    import hydra

    from safetax.config.compose import conf_directory

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us instead of a printed traceback and exit code 1
    sys.argv = [sys.argv[0], *arguments]
    try:
        hydra.main(version_base="1.3", config_path=str(conf_directory()), config_name="config")(job)()
    except BrokenPipeError:
        raise
    except OSError as error:  # a job's own errors are kept by the session
        raise UserError(
            f"{error.filename}: this folder cannot be made ({error.strerror}); name another one with runtime.outputs, "
            "hydra.run.dir or hydra.sweep.dir."
        ) from error
    return 0


def job(_: object) -> None:
    """Hydra's task function: run the one job of this process."""
    from hydra.core.hydra_config import HydraConfig

    from safetax.run import session as sessions

    overrides = HydraConfig.get().overrides.task
    if sessions.current is not None:
        sessions.current.launch([overrides], sweep=False)
        return
    # A launcher of another package, such as submitit_slurm, calls this in a process of its own.
    from safetax.config.compose import Composer
    from safetax.run.terminal import standard_console

    sources = HydraConfig.get().runtime.config_sources
    own = next((source.path for source in sources if source.provider == "command-line"), None)
    session = sessions.Session(Composer(own, HydraConfig.get().job.config_name or "config"), standard_console())
    session.launch([overrides], sweep=False)
    session.check()


if __name__ == "__main__":
    main()
