"""Watches what was submitted to a cluster: ``python -m safetax.sweep DIR``.

DIR is the folder of the run or sweep, which ``hydra/launcher=slurm`` prints. The shell that submitted it need not live.
``--cancel`` ends its jobs, ``--resubmit`` submits what is not finished again, as it was frozen the first time, and
``--report`` writes results, report and tracking from what is finished by now.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from safetax.errors import UserError, exit_code
from safetax.formatting import clock
from safetax.run.slurm.record import Submission, load, load_plan
from safetax.run.slurm.watch import JobStatus, job_statuses, outcome_of, remaining
from safetax.run.terminal import plain_table, standard_console, tail
from safetax.store.manifest import read_manifest
from safetax.store.slurm import cancel, check_slurm, queue

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

STYLES = {"waiting": "dim", "running": "cyan", "done": "green", "failed": "bold red", "cancelled": "yellow"}


URGENCY = ("failed", "running", "cancelled", "waiting", "done")
"""Which jobs are shown where not all have room."""
AROUND = 6
"""Lines of the screen that are no job's and no run's."""
LOG_LINES = 12
"""Lines of the log of a job that failed which are shown."""
FEWEST = 5
"""Lines that jobs and runs each have at least."""


def render(submission: Submission, jobs: Sequence[JobStatus], height: int | None = None) -> RenderableType:
    """Return a table of the jobs, a line for each run, and the end of the log of what failed.

    Args:
        submission: what was submitted.
        jobs: what became of each job.
        height: lines of the screen, where it is to fit on one: what matters least is then told in sum; None: all.
    """
    from rich.console import Group
    from rich.text import Text

    table = plain_table("job", "state", "what it is", "node", "progress", "left")
    finished = {
        name: (sum(read_manifest(submission.outputs / key) is not None for key in steps), len(steps))
        for name, steps in submission.runs.items()
    }
    going_on = [name for name, (done, steps) in finished.items() if done < steps]
    runs = list(finished)
    shown = list(jobs)
    if height is not None:
        if len(jobs) + len(runs) + AROUND > height:
            runs = going_on[:FEWEST]
        shown = most_urgent(jobs, max(FEWEST, height - AROUND - len(runs)))
    for seen in shown:
        what = Text(seen.job.title, no_wrap=height is not None, overflow="ellipsis")
        progress = Text(_progress(seen) if seen.state == "running" else "")
        if seen.state == "waiting":
            progress = Text(seen.why, style="dim")
        elif seen.why:
            what.append(f"\n{seen.why}", style="dim")
        left = remaining(seen.progress) if seen.state == "running" else None
        state = Text(seen.state, style=STYLES[seen.state])
        table.add_row(seen.job.id, state, what, seen.node, progress, "" if left is None else clock(left))
    parts: list[RenderableType] = [table]
    if len(shown) < len(jobs):
        states = [seen.state for seen in jobs if seen not in shown]
        told = ", ".join(f"{states.count(state)} {state}" for state in URGENCY if state in states)
        parts.append(Text(f"and {len(states)} more jobs: {told}", style="dim"))
    parts.append(Text())
    parts += [Text("{}: {} of {} steps finished".format(name, *finished[name])) for name in runs]
    if len(runs) < len(finished):
        parts.append(Text(f"{len(finished) - len(going_on)} of {len(finished)} runs finished", style="dim"))
    for seen in jobs:
        if seen.state == "failed" and seen.log is not None:
            parts += [
                Text(),
                Text(f"{seen.job.title} failed; the end of {seen.log}:", style="bold"),
                Text("\n".join(tail(seen.log, LOG_LINES))),
            ]
    return Group(*parts)


def most_urgent(jobs: Sequence[JobStatus], room: int) -> list[JobStatus]:
    """Return as many jobs as there is room for, in their order: what failed, what runs, and so on."""
    order = sorted(range(len(jobs)), key=lambda place: (URGENCY.index(jobs[place].state), place))
    return [jobs[place] for place in sorted(order[:room])]


def _progress(seen: JobStatus) -> str:
    progress = seen.progress
    if not progress:
        return seen.elapsed
    rate = f", {progress['rate']:,.0f} tokens/s" if progress.get("rate") else ""
    return f"{progress['done']:g} of {progress['total']:g} {progress['unit']}{rate}"


def is_over(jobs: Sequence[JobStatus]) -> bool:
    """Whether no job is at work, or will be."""
    return all(seen.state in ("done", "failed", "cancelled") for seen in jobs)


def watch(submission: Submission, console: Console, once: bool, seconds: float) -> int:
    """Show the jobs, until all have ended; returns 0, or 1 where one failed or was cancelled."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    jobs = job_statuses(submission, queue())
    if once or is_over(jobs) or not console.is_terminal:
        console.print(render(submission, jobs))
        told = ""
        while not once and not is_over(jobs):  # a log is told what changes
            time.sleep(seconds)
            before = jobs
            jobs, silent = statuses_again(submission, before)
            if silent != told:
                console.print(silent or "Slurm answers again.", markup=False, highlight=False, soft_wrap=True)
                told = silent
            for old, new in zip(before, jobs, strict=True):
                if new.state != old.state:
                    why = f" ({new.why})" if new.why else ""
                    console.print(f"{new.job.id} {new.state}: {new.job.title}{why}", markup=False, highlight=False)
    else:
        first = render(submission, jobs, console.height)
        with Live(first, console=console, screen=False, auto_refresh=False) as live:
            while not is_over(jobs):
                time.sleep(seconds)
                jobs, silent = statuses_again(submission, jobs)
                now = render(submission, jobs, None if is_over(jobs) else console.height)
                live.update(Group(now, Text(silent, style="yellow")), refresh=True)
    if is_over(jobs):
        report = submission.target / "report.html"
        place = f"Report:  {report}" if report.is_file() else f"Results: {submission.target}"
        console.print(place, highlight=False, soft_wrap=True)
    return int(any(seen.state in ("failed", "cancelled") for seen in jobs))


def statuses_again(submission: Submission, before: Sequence[JobStatus]) -> tuple[Sequence[JobStatus], str]:
    """Return what became of the jobs; where Slurm does not answer, what was seen before, and words that say so."""
    try:
        return job_statuses(submission, queue()), ""
    except UserError as error:
        return before, f"{error} This is what was seen last; asking again."


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Do what the command line asks for."""
    from safetax.run.finish import finish
    from safetax.run.slurm.submit import submit

    target = chosen.folder.absolute()
    submission = load(target)
    if chosen.report:
        plan = load_plan(target)
        outcome = outcome_of(plan, submission)
        finish(plan, submission.sweep, submission.outputs, outcome, console)
        return 0
    check_slurm()
    if chosen.cancel:
        living = living_jobs(submission)
        cancel(living)
        console.print(f"{len(living)} jobs cancelled; finished steps are kept. Go on: --resubmit", highlight=False)
        return 0
    if chosen.resubmit:
        if living := living_jobs(submission):
            raise UserError(
                f"{len(living)} jobs of {chosen.folder} still wait or run, such as {living[0]}; cancel them first "
                "(--cancel), or let them end."
            )
        if submit(load_plan(target), submission.outputs, submission.sweep, console) is None:
            console.print("All steps are finished: there is nothing to submit. Results: --report", highlight=False)
        return 0
    return watch(submission, console, chosen.once, chosen.every)


def living_jobs(submission: Submission) -> list[str]:
    """Return the numbers of the jobs that run, or still may."""
    queued = queue()
    return [job.id for job in submission.jobs if job.id in queued and queued[job.id].living]


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(prog="python -m safetax.sweep", description=(__doc__ or "").split("\n\n")[0])
    found.add_argument("folder", type=Path, metavar="DIR", help="folder of a run or sweep that was submitted")
    what = found.add_mutually_exclusive_group()
    what.add_argument("--once", action="store_true", help="show it once")
    what.add_argument("--cancel", action="store_true", help="cancel the jobs that have not ended")
    what.add_argument("--resubmit", action="store_true", help="submit what is not finished again, as it was frozen")
    what.add_argument("--report", action="store_true", help="write results and report from what is finished")
    found.add_argument("--every", type=float, default=5.0, metavar="SECONDS", help="how often to look (5)")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 1 as the command says, 2 for a mistake, 130 interrupted."""
    chosen = parser().parse_args(arguments)
    return exit_code(lambda: run(chosen, standard_console()), "interrupted; the jobs go on.")


if __name__ == "__main__":
    sys.exit(main())
