"""One invocation of the command: from jobs to a plan, and from the plan to results on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console

from safetax.config.compose import Job
from safetax.config.schema import Config
from safetax.errors import ConfigError, UserError
from safetax.plan.graph import Plan
from safetax.plan.planner import plan
from safetax.plan.record import outputs_folder
from safetax.plan.resolve import Resolver
from safetax.plan.status import PlanStatus
from safetax.plan.uses import without_uses
from safetax.run.runner import GraphRunner
from safetax.run.terminal import counted, say, shown
from safetax.run.view import PlainView
from safetax.store.locks import shared_use
from safetax.store.slurm import check_slurm, queue
from safetax.store.status import Store

SLURM = "slurm"
"""The option of ``hydra/launcher`` that submits to a cluster."""
OWN_LAUNCHERS = ("local", SLURM)
"""The options that are ours; launchers of other packages take the jobs of a sweep one by one."""


@dataclass
class Session:
    """Plans jobs, says what they lack, and brings them to completion."""

    console: Console
    resolver: Resolver = field(default_factory=lambda: Resolver(lenient=True))

    def plan(self, jobs: Sequence[Job]) -> Plan:
        """Return the plan of the jobs.

        Raises:
            ConfigError: the jobs do not go together, or something that they name is not there.
        """
        runtime = jobs[0].config.runtime
        for job in jobs[1:]:
            if job.config.runtime.outputs != runtime.outputs or job.config.runtime.isolation != runtime.isolation:
                raise ConfigError(
                    f"runtime.outputs={job.config.runtime.outputs}, runtime.isolation={job.config.runtime.isolation}: "
                    "a sweep is one graph in one folder; give all its jobs the same, or start several sweeps."
                )
        shown = counted(jobs, "jobs planned")
        return plan((self.resolver.resolve(with_offload(job.config)), job.overrides) for job in shown)

    def show(self, status: PlanStatus, launcher: str) -> None:
        """Print what would run, and the jobs that it would be submitted as."""
        from safetax.plan.table import print_plan

        print_plan(status, self.console)
        if launcher == SLURM:
            from safetax.run.slurm.table import print_jobs

            print_jobs(status, self.console)
        if self.resolver.unknown:
            say(self.console, "Not known yet, so that fingerprints may still change:")
        for line in self.resolver.unknown:
            say(self.console, f"  {line.split('; ')[0]}")

    def check_ready(self, status: PlanStatus, launcher: str) -> None:
        """Raise UserError with all that is missing, before anything is run or made on disk."""
        from safetax.report.hub.push import check

        runs = status.plan.runs
        check(runs)
        for name in {name for run in runs if (name := run.config.published) is not None}:
            from safetax.results.published import load

            load(name)
        here = launcher != SLURM and runs[0].config.stage.name != "prefetch"
        missing = list(self.resolver.unknown)
        if status.waiting:  # what is finished needs nothing
            from safetax.plan.preflight import problems

            missing = list(dict.fromkeys([*missing, *problems(status, here=here)]))
        if len(missing) == 1:
            raise UserError(missing[0])
        if missing:
            raise UserError("Not everything that this needs is there:\n" + "\n".join(f"  - {line}" for line in missing))
        if launcher == SLURM:
            check_slurm()
            queue()  # raises where its controller does not answer

    def launch(self, plan: Plan, sweep: bool, launcher: str) -> None:
        """Run a plan here, submit it to Slurm, or make ready what nodes without a network need.

        Raises:
            UserError, StepError: as of the one that it is.
        """
        if plan.runs[0].config.stage.name == "prefetch":
            self.prefetch(plan)
            return
        if launcher == SLURM:
            from safetax.run.slurm.submit import submit

            if submit(plan, outputs_folder(plan), sweep, self.console) is not None:
                return  # a job at its end does what is done here at the end
        self.run(plan, sweep)

    def run(self, plan: Plan, sweep: bool) -> None:
        """Run a plan on this machine and write its records, results, report and tracking.

        Raises:
            UserError, StepError: steps failed; what was finished is kept.
        """
        from safetax.run.finish import finish, release_weights

        runtime, outputs = plan.runs[0].config.runtime, outputs_folder(plan)
        with shared_use(outputs):
            with open_view(self.console) as view:
                outcome = GraphRunner(Store(outputs, runtime.retry_errors), view, runtime).run(
                    plan.steps, runs=[{step.key for step in run.steps} for run in plan.runs]
                )
            say(self.console, f"{len(outcome.executed)} steps executed, {len(outcome.reused)} reused.")
            finish(plan, sweep, outputs, outcome, self.console)
        release_weights(plan, outputs, self.console)

    def prefetch(self, plan: Plan) -> None:
        """Make all data that need no model, and download all models, so that nodes without a network can do the rest.

        Raises:
            UserError, StepError: something cannot be had; what could is kept.
        """
        from safetax.data.hub import download
        from safetax.plan.requirements import repositories

        outputs = outputs_folder(plan)
        with shared_use(outputs), open_view(self.console) as view:
            data = [without_uses(step) for step in plan.steps if step.kind == "prepare" and not step.inputs]
            outcome = GraphRunner(Store(outputs), view, plan.runs[0].config.runtime).run(data)
        wanted = {each.id: each for run in plan.runs for step in run.steps for each in repositories(step, run.config)}
        for each in wanted.values():
            if each.kind == "model":
                say(self.console, f"Model {each.id}: {download(each.id, each.commit)}")
        outcome.check()
        made = f"{len(outcome.executed)} data sets made, {len(outcome.reused)} reused"
        say(self.console, f"{made}, in {shown(outputs)}. On the nodes set HF_HUB_OFFLINE=1 and the same HF_HOME.")


def with_offload(config: Config) -> Config:
    """Return a configuration in which ``runtime.offload=auto`` has become what the estimate says is needed."""
    if config.runtime.offload != "auto":
        return config
    from safetax.plan.estimate import resolve_offload

    runtime = dataclasses.replace(config.runtime, offload=resolve_offload(config))
    return dataclasses.replace(config, runtime=runtime)


@contextmanager
def open_view(console: Console) -> Iterator[PlainView]:
    """Yield the view that fits where the output goes."""
    if not console.is_terminal:
        yield PlainView(console)
        return
    from safetax.run.live_view import LiveView  # its bars are slow to import, and of no use to a log

    view = LiveView(console)
    with view.bars:
        yield view
