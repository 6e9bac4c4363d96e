"""Runs a graph of steps on this machine: reuses what is complete and has workers do the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from safetax.errors import StepError, UserError
from safetax.step import Step
from safetax.store import Status, Store
from safetax.worker_process import WorkerProcess

PRIORITY = {"prepare": 0, "generate": 1, "score": 2, "train": 3}
"""What is done first of the steps that are ready: results come early, and the prompts of a checkpoint together."""


class View(Protocol):
    """Where the progress of a graph is shown."""

    def begin(self, total: int) -> None:
        """The graph has this many steps."""
        ...

    def reused(self, step: Step) -> None:
        """A step is complete already."""
        ...

    def note(self, text: str) -> None:
        """Something to be said in a line."""
        ...

    def started(self, step: Step) -> None:
        """A worker has begun a step."""
        ...

    def progress(self, step: Step, done: float, total: float, unit: str, rate: float | None) -> None:
        """How far a step is; ``rate`` in tokens per second where known."""
        ...

    def finished(self, step: Step, seconds: float) -> None:
        """A step is complete."""
        ...

    def failed(self, step: Step, message: str) -> None:
        """A step failed."""
        ...


@dataclass
class Outcome:
    """What running a graph did."""

    executed: list[Step] = field(default_factory=list)
    reused: list[Step] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    user_error: bool = False

    def check(self, store: Store) -> None:
        """Raise for the failures, if any.

        Raises:
            UserError: all failures are for the user to mend.
            StepError: a worker failed otherwise.
        """
        if not self.failed:
            return
        lines = [f"{message}\n  log: {store.directory(key) / 'worker.log'}" for key, message in self.failed.items()]
        text = "\n".join([*lines, "Finished steps are kept; run the same command again to go on."])
        raise UserError(text) if self.user_error else StepError(text)


class GraphRunner:
    """Runs one graph.

    Args:
        store: where the steps lie.
        view: where progress is shown.
        isolation: ``process``: a process for each request to a worker; ``shared``: one process for all.
        interpreters: Python interpreter by worker, where it is not this one.
    """

    def __init__(self, store: Store, view: View, isolation: str, interpreters: dict[str, str]) -> None:
        self.store = store
        self.view = view
        self.isolation = isolation
        self.interpreters = interpreters
        self.worker: WorkerProcess | None = None
        self.statuses: dict[str, Status] = {}

    def run(self, steps: Sequence[Step]) -> Outcome:
        """Bring all steps to completion, as far as that can be; steps stand in the order of their inputs."""
        outcome = Outcome()
        self.view.begin(len(steps))
        waiting = {step.key: step for step in steps}
        complete: set[str] = set()
        try:
            while waiting:
                self._settle(waiting, complete, outcome)
                batch = self._next(waiting, complete)
                if not batch:
                    break
                self._do(batch, outcome)
                for step in batch:
                    if step.key not in outcome.failed:
                        complete.add(step.key)
                    waiting.pop(step.key)
        finally:
            self._stop_worker()
        for step in waiting.values():
            self.view.note(f"not done, since an input failed: {step.title}")
        return outcome

    def _settle(self, waiting: dict[str, Step], complete: set[str], outcome: Outcome) -> None:
        """Take the steps that can be reused out of those that wait."""
        for key, step in list(waiting.items()):
            if key not in self.statuses and all(source.key in complete for source in step.inputs.values()):
                status = self._status(step)
                if status.complete:
                    complete.add(key)
                    outcome.reused.append(step)
                    self.view.reused(step)
                    waiting.pop(key)
                elif status.state in ("damaged", "stale"):
                    self.view.note(f"{step.title} ({key}) is made again: {status.reason}")

    def _status(self, step: Step) -> Status:
        if step.key not in self.statuses:
            self.statuses[step.key] = self.store.status(step)
        return self.statuses[step.key]

    def _next(self, waiting: dict[str, Step], complete: set[str]) -> list[Step]:
        """Return the ready steps that one request takes: of one checkpoint, or of one component."""
        ready = [step for step in waiting.values() if all(source.key in complete for source in step.inputs.values())]
        if not ready:
            return []
        first = min(ready, key=lambda step: PRIORITY[step.kind])
        if first.kind == "train":
            return [first]
        return [step for step in ready if step.kind == first.kind and _together(step) == _together(first)]

    def _do(self, batch: list[Step], outcome: Outcome) -> None:
        by_key = {step.key: step for step in batch}
        directories = [self.store.freeze(step) for step in batch]
        left = dict(by_key)
        current = batch[0]
        for event in self._worker_for(batch[0].kind).do(batch[0].kind, directories):
            step = by_key.get(event.get("step", ""), current)
            match event["event"]:
                case "started":
                    self.view.started(step)
                case "waiting":
                    self.view.note(f"waiting for {step.title}: {event['owner']} is at it")
                case "progress":
                    current = step
                    self.view.progress(step, event["done"], event["total"], event["unit"], event["rate"])
                case "finished" | "reused":
                    left.pop(step.key, None)
                    (outcome.executed if event["event"] == "finished" else outcome.reused).append(step)
                    self.view.finished(step, event.get("seconds", 0.0))
                    current = next(iter(left.values()), step)
                case "failed" | "died":
                    self._failed(event, left, batch, outcome)
        if self.isolation == "process" or (self.worker and not self.worker.alive):
            self._stop_worker()

    def _failed(self, event: Any, left: dict[str, Step], batch: list[Step], outcome: Outcome) -> None:
        if event["event"] == "died":
            message = f"its worker process ended with code {event['code']} (killed, or out of memory)"
        else:
            message = event["message"]
        user = bool(event.get("user"))
        outcome.user_error = user and (outcome.user_error or not outcome.failed)
        for index, step in enumerate(left.values()):
            text = f"{step.title} failed: {message}" if index == 0 else f"{step.title} was not done"
            outcome.failed[step.key] = text
            self.view.failed(step, text)
        # The request's log lies in the folder of its first step.
        first = self.store.directory(batch[0]) / "worker.log"
        for key in left:
            log = self.store.directory(key) / "worker.log"
            if not log.exists() and first.exists():
                log.write_text(f"see {first}\n")

    def _worker_for(self, kind: str) -> WorkerProcess:
        if self.worker is None:
            self.worker = WorkerProcess(self.interpreters.get(kind))
        return self.worker

    def _stop_worker(self) -> None:
        if self.worker is not None:
            worker, self.worker = self.worker, None
            try:
                worker.close()
            except BaseException:
                worker.kill()
                raise


def _together(step: Step) -> str:
    """Return what steps of one request have in common."""
    if step.kind == "generate":
        model = step.inputs.get("model")
        return model.key if model else str(step.identity.get("model"))
    component = step.identity["dataset" if step.kind == "prepare" else "judge"]
    return str(component["kind"])

