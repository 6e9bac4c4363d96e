"""The end of a run or a sweep, here or in a job of the cluster: records, results, report, tracking, pushes, weights."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from safetax.errors import StepError, UserError, explained, is_full
from safetax.plan.graph import Plan
from safetax.plan.record import write_record, write_sweep
from safetax.report.hub.push import push
from safetax.run.outcome import RunOutcome
from safetax.run.terminal import say, shown
from safetax.store.claims import blockers, submitting
from safetax.store.locks import exclusive_use, locked
from safetax.store.manifest import MANIFEST, read_json, release, sha256_of, write_json
from safetax.store.shapes import EACH
from safetax.store.status import Store, errors_in
from safetax.store.step import Step

if TYPE_CHECKING:
    from safetax.results.document import Results

REPORT_VERSION = 5
"""Raised when the report begins to show something else for the same results."""
REPORT = "report.json"
"""What the report in a folder was made from, and its files."""
REPORT_SHAPE = {"digest": str, "inputs": str, "files": {EACH: str}}
OF_RUNS = ("results.json", "provenance.json")
"""What a sweep writes into the folder of each of its runs."""
NOT_REPORT = ("run.json", "sweep.json", REPORT, "tracked.json", "hydra", "cluster")
"""What else lies in the folder of a run or a sweep."""
WEIGHTS = ".safetensors"


def finish(plan: Plan, sweep: bool, outputs: Path, outcome: RunOutcome, console: Console) -> None:
    """Write the records of the runs that are whole, their results, report and tracking; push what is to be pushed.

    Args:
        plan: what was to be done.
        sweep: whether its runs are those of a sweep, which then has a report of its own.
        outputs: its outputs folder.
        outcome: what became of its steps.
        console: where it is said.

    Raises:
        UserError, StepError: steps failed, or the report cannot be written.
    """
    _tell_errors(Store(outputs), plan.steps, console)
    finished = {step.key for step in [*outcome.executed, *outcome.reused]}
    runs = [run for run in plan.runs if all(step.key in finished for step in run.steps)]
    # With 0 epochs no data set matters, so several jobs of a sweep may be one run.
    runs = list({run.name: run for run in runs}.values())
    folders = [write_record(run, outputs) for run in runs]
    target = write_sweep(plan, runs, outputs) if sweep and runs else (folders[0] if folders else None)
    try:
        if target is not None:
            with locked(target):  # another run of the same may be writing the same report
                _report(target, folders, outputs, plan, sweep, console)
    except (OSError, ValueError, LookupError, TypeError) as error:
        outcome.check()
        if isinstance(error, OSError) or is_full(error):
            raise StepError(explained(error, target)) from None
        raise StepError(
            f"the report could not be written ({type(error).__name__}: {error}). All steps are kept; "
            f"make it again: python -m safetax.report {shown(target or outputs)}"
        ) from error
    outcome.check()
    for run in runs:
        push(run, outputs, console)


def _tell_errors(store: Store, steps: Sequence[Step], console: Console) -> None:
    """Say how many verdicts are errors, and of which judges."""
    found = [(step, errors_in(store.manifest(step) or {})) for step in steps if step.kind == "score"]
    judges = sorted({step.identity["judge"]["kind"] for step, count in found if count})
    if judges:
        say(
            console,
            f"{sum(count for _, count in found)} verdicts of {', '.join(judges)} are errors and stand in no score "
            "(verdicts.jsonl says why); runtime.retry_errors=true judges those steps again.",
        )


def _report(target: Path, folders: list[Path], outputs: Path, plan: Plan, sweep: bool, console: Console) -> None:
    config = plan.runs[0].config
    records = [folder / "run.json" for folder in folders]
    inputs = _inputs([*records, target / "sweep.json"] if sweep else records, outputs)
    # Published figures may be a file of the user's, which no record knows.
    results = None if any(run.config.published for run in plan.runs) else _reported(target, folders, inputs)
    if results is None:
        results = _collect(target, folders, inputs, sweep)
    if config.tracking == "mlflow":
        _track(folders, outputs, target if sweep else None, results, inputs, console)
    from safetax.report.tables import terminal_table

    console.print(terminal_table(results))
    if config.note:
        say(console, config.note)
    say(console, f"Report:  {shown(target / 'report.html')}")
    say(console, f"Results: {shown(target / 'results.json')}")


def _inputs(records: Sequence[Path], outputs: Path) -> str:
    """Return a digest of all that a report is made from: records, the manifests of their steps, and our own code."""
    package = Path(__file__).parents[1]
    code = [*package.glob("*.py"), *(package / "results").rglob("*.*"), *(package / "report").rglob("*.*")]
    steps = {step for record in records for step in (read_json(record) or {}).get("steps", [])}
    manifests = [outputs / step / MANIFEST for step in sorted(steps)]
    found = hashlib.sha256()
    for path in [*records, *manifests, *sorted(path for path in code if path.suffix != ".pyc" and path.is_file())]:
        found.update(f"{path.name} {path.stat().st_size}\n".encode() + path.read_bytes())
    return found.hexdigest()[:16]


def _reported(target: Path, folders: Sequence[Path], inputs: str) -> Results | None:
    """Return the results of a report that was made from the same inputs and is still whole, or None."""
    from safetax.results.codec import from_json
    from safetax.results.document import Results

    record = read_json(target / REPORT, REPORT_SHAPE)
    if record is None or record["inputs"] != inputs or record["files"] != _files(target, folders):
        return None
    return from_json(Results, read_json(target / "results.json"))


def _files(target: Path, folders: Sequence[Path]) -> dict[str, str]:
    """Return the sha256 of each file of a report by its path; the records beside them are no part of it.

    Args:
        target: the folder of a run or a sweep.
        folders: those of its runs, in which a sweep writes results too.
    """
    paths = [path for path in target.rglob("*") if path.relative_to(target).parts[0] not in NOT_REPORT]
    paths += [folder / name for folder in folders if folder != target for name in OF_RUNS]
    return {os.path.relpath(path, target): sha256_of(path) for path in sorted(paths) if path.is_file()}


def _collect(target: Path, folders: Sequence[Path], inputs: str, sweep: bool) -> Results:
    """Collect the results, bring the report up to date and return them."""
    from safetax.results.codec import to_json
    from safetax.results.collect import collect

    collected = collect([target])
    digest = digest_of([REPORT_VERSION, to_json(collected.results), collected.provenance])
    record = read_json(target / REPORT, REPORT_SHAPE)
    if record is None or record["digest"] != digest or record["files"] != _files(target, folders):
        from safetax.report.build import build_report, write_run_results

        build_report(collected, target)
        if sweep:
            write_run_results(collected)
    write_json(target / REPORT, {"digest": digest, "inputs": inputs, "files": _files(target, folders)})
    return collected.results


def _track(
    folders: list[Path], outputs: Path, sweep: Path | None, results: Results, inputs: str, console: Console
) -> None:
    """Write the runs to MLflow; a failure there is said, and loses nothing."""
    try:
        from safetax.report.mlflow.tracking import track

        track(folders, outputs, sweep, results, inputs)
    except (UserError, OSError) as error:
        reason = str(error) if isinstance(error, UserError) else explained(error, outputs)
        say(console, f"Warning: the runs were not tracked in MLflow. {reason} The results are on disk.", "yellow")
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        say(
            console,
            f"Warning: the runs were not tracked in MLflow ({reason}). The results are on disk; run the same command "
            "again to track them.",
            "yellow",
        )


def release_weights(plan: Plan, outputs: Path, console: Console) -> None:
    """Remove the weights of a finished plan that are not to stay, and say how many GB that freed.

    ``runtime.keep=evaluated`` keeps the checkpoints that were evaluated, ``results`` none. Nothing goes while another
    run, or a job of the cluster, may be reading it.

    Args:
        plan: whose steps are all finished.
        outputs: its outputs folder.
        console: where it is said.
    """
    keep = plan.runs[0].config.runtime.keep
    if keep == "all":
        return
    evaluated = {point.weights.key for run in plan.runs for point in run.checkpoints if point.weights is not None}
    stay = evaluated if keep == "evaluated" else set()
    made = [step for step in plan.steps if step.kind in ("train", "merge") and step.key not in stay]
    store, freed = Store(outputs), 0
    with exclusive_use(outputs) as alone, submitting(outputs):
        reading = blockers(outputs) if alone else "another run is at work there"
        if not reading:
            freed = sum(release(store.directory(step), WEIGHTS) for step in made)
    if reading:
        say(
            console,
            f"runtime.keep={keep}: all weights in {shown(outputs)} stay, since {reading}. Give the command again when "
            "that is over to let them go.",
        )
    if freed:
        say(console, f"runtime.keep={keep}: weights let go, {freed / 1e9:.1f} GB")


def digest_of(values: Any) -> str:
    """Return a hash over JSON values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
