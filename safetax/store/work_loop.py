"""What every worker does with the folders of its steps: lock them, do those that are not complete, report failures."""

from __future__ import annotations

import contextlib
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from safetax.config.components import PluginError
from safetax.errors import StepError, UserError, complain, explained, is_full
from safetax.store.events import Events
from safetax.store.job import StepJob
from safetax.store.locks import locked
from safetax.store.manifest import SCRATCH, STEP, write_json
from safetax.store.nodes import node_rank

WorkerFunction = Callable[[Sequence[StepJob]], None]
"""Does steps that are locked and begun, and finishes each of them."""


@contextlib.contextmanager
def _opened(directories: Sequence[Path], events: Events) -> Iterator[list[StepJob]]:
    """Yield the steps that are not complete, locked: in one order for all processes, so that none waits in a circle."""
    with contextlib.ExitStack() as stack:
        jobs = []
        for directory in sorted(directories):
            job = StepJob(directory, events)

            def waiting(owner: str, job: StepJob = job) -> None:
                events.send("waiting", step=job.key, owner=owner)

            job.lock = stack.enter_context(locked(directory, waiting))
            if not (directory / STEP).exists():  # pruned while we waited
                write_json(directory / STEP, job.frozen)
            if job.is_complete():
                shutil.rmtree(directory / SCRATCH, ignore_errors=True)
                events.send("reused", step=job.key)
            else:
                jobs.append(job)
        yield jobs


def work_on(
    directories: Sequence[Path],
    work: WorkerFunction,
    events: Events,
    together: bool = False,
    log_to: Callable[[Sequence[Path]], None] | None = None,
) -> int:
    """Run a worker's function on steps; one that is complete by now is left alone.

    A step that fails is reported as ``failed``, its traceback goes to stderr, and the others are done all the same.

    Args:
        directories: the steps' folders.
        work: the worker's function.
        events: where to report to.
        together: give all steps to the function at once; they fail together.
        log_to: called with the folders before each call of the function, to direct the log.

    Returns:
        the exit code: 0, or 2 where all failures are for the user to mend, or 1.
    """
    code = 0
    for group in [directories] if together else [[directory] for directory in directories]:
        keys = [f"{directory.parent.name}/{directory.name}" for directory in group]
        try:
            if log_to is not None:
                log_to(group)
            with _opened(group, events) as jobs:
                for job in jobs:
                    job.begin()
                if jobs:
                    work(jobs)
        except UserError as error:
            code = code or 2
            if isinstance(error, PluginError) and error.__cause__ is not None:
                with contextlib.suppress(OSError):
                    traceback.print_exception(error.__cause__)  # in the log; the message has one line of it
            events.send("failed", steps=keys, message=str(error), user=True)
        except StepError as error:
            code = 1
            events.send("failed", steps=keys, message=str(error), user=False)
        except (Exception, SystemExit) as error:
            code = 1
            told = explained(error, group[0]) if is_full(error) else f"{type(error).__name__}: {error}"
            with contextlib.suppress(OSError):
                traceback.print_exc()
            events.send("failed", steps=keys, message=told, user=False)
    return code


def run_by_hand(work: WorkerFunction, together: bool = False) -> int:
    """Run a worker's function on the steps that the command line names, and return the exit code."""
    directories = [Path(argument).absolute() for argument in sys.argv[1:]]
    if not directories:
        print("Name the folders of the steps to do.", file=sys.stderr)
        return 2
    return work_on(directories, work, Events(sys.stdout, as_json=False), together)


def run_on_node(work: WorkerFunction, nodes: str, join: Callable[[Sequence[StepJob]], int], together: bool) -> int:
    """Do the steps that the command line names, or this node's part of them, and return the exit code.

    Args:
        work: the worker's function.
        nodes: the runtime setting that says on how many nodes a step is done.
        join: adds a node that is not the first to steps of several nodes, and returns the exit code.
        together: as for ``work_on``.
    """
    if not node_rank() or len(sys.argv) < 2:
        return run_by_hand(work, together)
    events = Events(sys.stdout, as_json=False)
    jobs = [StepJob(Path(argument).absolute(), events) for argument in sys.argv[1:]]
    shared = [job for job in jobs if job.runtime.get(nodes, 1) > 1]
    try:
        code = join(shared)
    except UserError as error:
        return complain(str(error), 2)
    rest = [job.directory for job in jobs if job not in shared]
    return max(code, work_on(rest, work, events, together)) if rest else code
