"""A stand-in for Slurm's programs, and plans that are submitted to it."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from safetax.config.compose import Composer
from safetax.plan.graph import Plan
from safetax.plan.planner import plan
from safetax.plan.resolve import Resolver
from safetax.run.slurm.jobs import Job, jobs_of
from safetax.run.slurm.record import Submission, Submitted, load
from safetax.run.slurm.submit import submit
from safetax.store.slurm import Queued
from safetax.store.status import Store
from safetax.store.step import OUTPUTS, Step
from tests.support.tiny_steps import put_manifest


def planned(*overrides: str) -> Plan:
    composer, resolver = Composer(), Resolver(lenient=True)
    return plan([(resolver.resolve(job.config), job.overrides) for job in composer.jobs(overrides, multirun=True)])


def jobs(graph: Plan) -> list[Job]:
    config_of = {step.key: run.config for run in graph.runs for step in run.steps}
    return jobs_of(graph.steps, config_of, lambda step: True)


def queued(number: str, state: str, reason: str = "None") -> dict[str, Queued]:
    return {number: Queued(number, state, reason, "n0", "1:00")}


class FakeSlurm:
    """Programs by Slurm's names that write down what they are asked, and tell what the test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "bin"
        self.programs.mkdir(parents=True)
        queue = folder / "queue"
        self.program(
            "sbatch",
            f"""
            [ -e {folder}/refusal ] && cat {folder}/refusal >&2 && exit 1
            number=$(($(ls {folder} | grep -c '^job-.*sh$') + 101))
            cp "$1" {folder}/job-$number.sh
            env > {folder}/job-$number.env
            echo "$number|PENDING|Priority||0:00" >> {queue}
            echo "Submitted batch job $number"
            """,
        )
        self.program("squeue", f"echo asked >> {folder}/asked\n[ -e {folder}/silent ] && exit 1\ncat {queue}")
        self.program("scancel", f'shift\nfor each in "$@"; do echo $each >> {folder}/cancelled; done')
        self.program("sinfo", "echo dev")
        self.program("srun", "exit 1")
        queue.touch()

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{textwrap.dedent(text)}\n")
        path.chmod(0o755)

    def says(self, number: str, state: str, reason: str = "None") -> None:
        """Have the queue tell something else of a job; ``GONE``: nothing any more."""
        lines = [line for line in (self.folder / "queue").read_text().splitlines() if not line.startswith(f"{number}|")]
        lines += [] if state == "GONE" else [f"{number}|{state}|{reason}||0:00"]
        (self.folder / "queue").write_text("".join(f"{line}\n" for line in lines))

    def script(self, number: str) -> list[str]:
        return (self.folder / f"job-{number}.sh").read_text().splitlines()

    @property
    def cancelled(self) -> list[str]:
        return lines_of(self.folder / "cancelled")


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def lab(outputs: Path, *overrides: str) -> Plan:
    return planned("+experiment=lab_quick", "tracking=off", "epochs=1", f"runtime.outputs={outputs}", *overrides)


def sent(graph: Plan, outputs: Path, sweep: bool = False) -> tuple[Submission, str]:
    """Submit a plan; returns what is on record then, and what was said."""
    text = io.StringIO()
    target = submit(graph, outputs, sweep, Console(file=text, width=200))
    assert target is not None
    return load(target), text.getvalue()


def finish(store: Store, *steps: Step) -> None:
    """Put finished steps on disk, in a way that no worker would: what they hold is of no matter here."""
    for step in steps:
        for pattern in OUTPUTS[step.kind]:
            path = store.freeze(step) / pattern.replace("*", "model")
            path.parent.mkdir(exist_ok=True)
            path.write_text(step.key)
        put_manifest(store, step)


def trainings(steps: Iterable[Step]) -> dict[str, Step]:
    return {step.title.split(",")[0]: step for step in steps if step.kind == "train"}


def job_of(submission: Submission, step: Step) -> Submitted:
    return next(job for job in submission.jobs if step.key in job.steps)


def site(outputs: Path, *settings: str) -> Plan:
    """A plan with a training on four GPUs, on a cluster that calls them so."""
    own = [f"++runtime.slurm.{setting}" for setting in ("gpus_per_node=4", "memory_gb=500", *settings)]
    return lab(outputs, "runtime.gpus=0", *own)
