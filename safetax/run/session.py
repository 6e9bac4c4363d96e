"""One invocation of the command: from overrides to a plan, and from the plan to results on disk."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetax.config.compose import Composer, Job
from safetax.config.runtime import Runtime
from safetax.config.schema import Config
from safetax.errors import ConfigError, StepError, UserError
from safetax.plan.planner import Plan, plan, unneeded
from safetax.plan.record import write_record, write_sweep
from safetax.plan.resolve import Resolver
from safetax.report.hub.push import check, push
from safetax.run.retention import let_go
from safetax.run.runner import GraphRunner, Outcome
from safetax.run.view import open_view
from safetax.store.claims import counted_on, submitting
from safetax.store.locks import in_use, locked, unused
from safetax.store.manifest import read_json, write_json
from safetax.store.status import Store, errors_in
from safetax.store.step import Step

if TYPE_CHECKING:
    from rich.console import Console

    from safetax.results.document import Results

SLURM = "slurm"
"""The option of ``hydra/launcher`` that submits to a cluster."""
REPORT_VERSION = 5
"""Raised when the report begins to show something else for the same results."""


@dataclass
class Session:
    """Plans jobs and runs them; ``current`` is the one that Hydra's launcher asks."""

    composer: Composer
    console: Console
    resolver: Resolver = field(default_factory=lambda: Resolver(lenient=True))
    failure: Exception | None = None

    def launch(self, job_overrides: Sequence[Sequence[str]], sweep: bool) -> Plan:
        """Run jobs that Hydra hands over, and return their graph.

        A failure is kept for ``check``: raised through Hydra it would be printed twice, once with Hydra's own words.
        """
        graph = self.plan([self.composer.job(self.composer.force(overrides)) for overrides in job_overrides])
        try:
            if graph.runs[0].config.stage.name == "prefetch":
                self.prefetch(graph)
            elif self.composer.launcher == SLURM:
                self.submit(graph, sweep)
            else:
                self.run(graph, sweep)
        except Exception as error:
            self.failure = error
        return graph

    def check(self) -> None:
        """Raise the failure of the jobs, if any."""
        if self.failure is not None:
            raise self.failure

    def plan(self, jobs: Sequence[Job]) -> Plan:
        """Return the graph of the jobs.

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
        configs = [with_offload(job.config) for job in jobs]
        resolved = [self.resolver.resolve(config, unneeded(config)) for config in configs]
        return plan([(config, job.overrides) for config, job in zip(resolved, jobs, strict=True)])

    def run(self, graph: Plan, sweep: bool) -> None:
        """Run a plan on this machine and write its records, results, report and tracking.

        Raises:
            UserError, StepError: steps failed; what was finished is kept.
        """
        config = graph.runs[0].config
        outputs = outputs_of(config.runtime)
        with in_use(outputs):
            with open_view(self.console) as view:
                runner = GraphRunner(Store(outputs, config.runtime.retry_errors), view, config.runtime)
                outcome = runner.run(graph.steps)
            self.console.print(
                f"{len(outcome.executed)} steps executed, {len(outcome.reused)} reused.",
                highlight=False,
                soft_wrap=True,
            )
            self.conclude(graph, sweep, outputs, outcome)
        self.let_go(graph, outputs)

    def prefetch(self, graph: Plan) -> None:
        """Make all data that need no model, and download all models, so that nodes without a network can do the rest.

        Raises:
            UserError, StepError: something cannot be had; what could is kept.
        """
        from safetax.data.hub import download
        from safetax.plan.requirements import repositories

        config = graph.runs[0].config
        outputs = outputs_of(config.runtime)
        with in_use(outputs), open_view(self.console) as view:
            data = [step for step in graph.steps if step.kind == "prepare" and not step.inputs]
            outcome = GraphRunner(Store(outputs), view, config.runtime).run(data)
        wanted = {each.id: each for run in graph.runs for step in run.steps for each in repositories(step, run.config)}
        for each in wanted.values():
            if each.kind == "model":
                self.say(f"Model {each.id}: {download(each.id, each.commit)}")
        outcome.check()
        made = f"{len(outcome.executed)} data sets made, {len(outcome.reused)} reused"
        self.say(f"{made}, in {shown(outputs)}. On the nodes set HF_HUB_OFFLINE=1 and the same HF_HOME.")

    def submit(self, graph: Plan, sweep: bool) -> None:
        """Submit a plan to Slurm; a job at its end does what ``run`` does at the end.

        Raises:
            UserError: there is no Slurm, or it refuses a job.
        """
        from safetax.run.slurm.submit import submit

        target = submit(graph, outputs_of(graph.runs[0].config.runtime), sweep, self.console)
        if target is None:  # all steps are finished
            self.run(graph, sweep)

    def let_go(self, graph: Plan, outputs: Path) -> None:
        """Let weights go as ``runtime.keep`` says, unless another run or a job of the cluster may be reading them."""
        keep = graph.runs[0].config.runtime.keep
        if keep == "all":
            return
        with unused(outputs) as alone, submitting(outputs):
            reading = counted_on(outputs) if alone else "another run is at work there"
            freed = 0 if reading else let_go(graph, Store(outputs), keep)
        if reading:
            self.say(
                f"runtime.keep={keep}: all weights in {shown(outputs)} stay, since {reading}. Give the command "
                "again when that is over to let them go."
            )
        if freed:
            self.say(f"runtime.keep={keep}: weights let go, {freed / 1e9:.1f} GB")

    def check_ready(self, graph: Plan, outputs: Path, here: bool = True) -> None:
        """Raise UserError with all that is missing, before anything is run or made on disk.

        Args:
            graph: the plan.
            outputs: its outputs folder.
            here: whether the steps run on this machine.
        """
        from safetax.plan.preflight import problems
        from safetax.results.published import load

        check(graph.runs)
        for name in {name for run in graph.runs if (name := run.config.published) is not None}:
            load(name)
        missing = list(dict.fromkeys([*self.resolver.unknown, *problems(graph, outputs, here=here)]))
        if len(missing) == 1:
            raise UserError(missing[0])
        if missing:
            raise UserError("Not everything that this needs is there:\n" + "\n".join(f"  - {line}" for line in missing))

    def say(self, text: str) -> None:
        """Print a line as it is."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def conclude(self, graph: Plan, sweep: bool, outputs: Path, outcome: Outcome) -> None:
        """Write the records of the runs that are whole, their results, report and tracking; push what is to be pushed.

        Raises:
            UserError, StepError: steps failed, or the report cannot be written.
        """
        config = graph.runs[0].config
        self._tell_errors(Store(outputs), graph.steps)
        finished = {step.key for step in [*outcome.executed, *outcome.reused]}
        runs = [run for run in graph.runs if all(step.key in finished for step in run.steps)]
        # With 0 epochs no data set matters, so several jobs of a sweep may be one run.
        runs = list({run.name: run for run in runs}.values())
        folders = [write_record(run, outputs) for run in runs]
        target = write_sweep(graph, runs, outputs) if sweep and runs else (folders[0] if folders else None)
        try:
            if target is not None:
                with locked(target):  # another run of the same may be writing the same report
                    self._report(target, folders, outputs, config, sweep)
        except (OSError, ValueError, LookupError, TypeError) as error:
            outcome.check()
            raise StepError(
                f"the report could not be written ({type(error).__name__}: {error}). All steps are kept; "
                f"make it again: python -m safetax.report {shown(target or outputs)}"
            ) from error
        outcome.check()
        for run in runs:
            push(run, outputs, self.console)

    def _tell_errors(self, store: Store, steps: Sequence[Step]) -> None:
        """Say how many verdicts are errors, and of which judges."""
        found = [(step, errors_in(store.manifest(step) or {})) for step in steps if step.kind == "score"]
        judges = sorted({step.identity["judge"]["kind"] for step, count in found if count})
        if judges:
            self.say(
                f"{sum(count for _, count in found)} verdicts of {', '.join(judges)} are errors and stand in no score "
                "(verdicts.jsonl says why); runtime.retry_errors=true judges those steps again."
            )

    def _report(self, target: Path, folders: list[Path], outputs: Path, config: Config, sweep: bool) -> None:
        from safetax.results.collect import collect
        from safetax.results.document import to_json

        collected = collect([target])
        digest = digest_of([REPORT_VERSION, to_json(collected.results), collected.provenance])
        if (read_json(target / "report.json") or {}).get("digest") != digest or not (target / "report.html").is_file():
            from safetax.report.build import build_report, write_run_results

            build_report(collected, target)
            if sweep:
                write_run_results(collected)
            write_json(target / "report.json", {"digest": digest})
        if config.tracking == "mlflow":
            self._track(folders, outputs, target if sweep else None, collected.results)
        from safetax.report.tables import terminal_table

        self.console.print(terminal_table(collected.results))
        if config.note:
            self.say(config.note)
        self.console.print(f"Report:  {shown(target / 'report.html')}", highlight=False, soft_wrap=True)
        self.console.print(f"Results: {shown(target / 'results.json')}", highlight=False, soft_wrap=True)

    def _track(self, folders: list[Path], outputs: Path, sweep: Path | None, results: Results) -> None:
        """Write the runs to MLflow; a failure there is said, and loses nothing."""
        try:
            from safetax.report.mlflow.tracking import track

            track(folders, outputs, sweep, results)
        except Exception as error:
            self.console.print(
                f"Warning: the runs were not tracked in MLflow ({type(error).__name__}: {error}). The results are on "
                "disk; run the same command again to track them.",
                style="yellow",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )


def with_offload(config: Config) -> Config:
    """Return a configuration in which ``runtime.offload=auto`` has become what the estimate says is needed."""
    if config.runtime.offload != "auto":
        return config
    from safetax.plan.estimate import resolve_offload

    runtime = dataclasses.replace(config.runtime, offload=resolve_offload(config))
    return dataclasses.replace(config, runtime=runtime)


current: Session | None = None
"""The session of this process, for Hydra's launcher, which Hydra makes itself."""


def outputs_of(runtime: Runtime) -> Path:
    """Return the outputs folder as an absolute path."""
    return Path(runtime.outputs).expanduser().absolute()


def shown(path: Path) -> str:
    """Return a path as a person would type it: relative where it lies below the working folder."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def digest_of(values: Any) -> str:
    """Return a hash over JSON values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
