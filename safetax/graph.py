"""Runs a graph of steps on this machine: reuses what is complete and has workers do the rest."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from safetax.config.schema import Runtime
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

    def check(self) -> None:
        """Raise for the failures, if any.

        Raises:
            UserError: all failures are for the user to mend.
            StepError: a worker failed otherwise.
        """
        if not self.failed:
            return
        text = "\n".join([*self.failed.values(), "Finished steps are kept; run the same command again to go on."])
        raise UserError(text) if self.user_error else StepError(text)


@dataclass
class _Slot:
    """A place for one worker at a time, and the thread that hears it."""

    worker: WorkerProcess | None = None
    batch: list[Step] = field(default_factory=list)
    current: Step | None = None

    def stop(self) -> None:
        """End the worker's process, if there is one."""
        worker, self.worker = self.worker, None
        if worker is not None:
            worker.kill() if self.batch else worker.close()


class GraphRunner:
    """Runs one graph.

    Args:
        store: where the steps lie.
        view: where progress is shown.
        runtime: isolation (``process``: a process for each request to a worker; ``shared``: one for all of a slot's),
            workers at a time, and interpreters of their own.
    """

    def __init__(self, store: Store, view: View, runtime: Runtime) -> None:
        self.store = store
        self.view = view
        self.runtime = runtime
        self.statuses: dict[str, Status] = {}
        self.slots = [_Slot() for _ in range(runtime.workers)]
        self.events: queue.Queue[tuple[_Slot, Mapping[str, Any] | None]] = queue.Queue()

    def run(self, steps: Sequence[Step]) -> Outcome:
        """Bring all steps to completion, as far as that can be; steps stand in the order of their inputs."""
        outcome = Outcome()
        self.view.begin(len(steps))
        waiting = {step.key: step for step in steps}
        complete: set[str] = set()
        try:
            while True:
                self._settle(waiting, complete, outcome)
                self._start(waiting, complete)
                if not any(slot.batch for slot in self.slots):
                    break
                slot, event = self.events.get()
                if event is not None:
                    self._hear(slot, event, complete, outcome)
                else:
                    self._free(slot)
        finally:
            for slot in self.slots:
                slot.stop()
        for step in waiting.values():
            self.view.note(f"not done, since an input failed: {step.title}")
        return outcome

    def _settle(self, waiting: dict[str, Step], complete: set[str], outcome: Outcome) -> None:
        """Take the steps that can be reused out of those that wait."""
        for key, step in list(waiting.items()):
            if key not in self.statuses and all(source.key in complete for source in step.inputs.values()):
                status = self.statuses[key] = self.store.status(step)
                if status.complete:
                    complete.add(key)
                    outcome.reused.append(step)
                    self.view.reused(step)
                    waiting.pop(key)
                elif status.state in ("damaged", "stale"):
                    self.view.note(f"{step.title} ({key}) is made again: {status.reason}")

    def _start(self, waiting: dict[str, Step], complete: set[str]) -> None:
        """Give the free slots what is ready."""
        for slot in self.slots:
            if not slot.batch and (batch := self._next(waiting, complete)):
                for step in batch:
                    waiting.pop(step.key)
                slot.batch, slot.current = batch, batch[0]
                kind = batch[0].kind
                if slot.worker is None or not slot.worker.alive:
                    slot.worker = WorkerProcess(self.runtime.python.get(kind))
                directories = [self.store.freeze(step) for step in batch]
                threading.Thread(target=self._listen, args=(slot, slot.worker, kind, directories), daemon=True).start()

    def _next(self, waiting: dict[str, Step], complete: set[str]) -> list[Step]:
        """Return ready steps that one request takes: of one checkpoint, or of one component."""
        ready = [step for step in waiting.values() if all(source.key in complete for source in step.inputs.values())]
        busy = any(slot.batch for slot in self.slots)
        for first in sorted(ready, key=lambda step: PRIORITY[step.kind]):
            if first.kind == "train":
                return [first]
            together = [
                step for step in waiting.values() if step.kind == first.kind and _together(step) == _together(first)
            ]
            batch = [step for step in together if step in ready]
            if (
                first.kind == "generate"
                and busy
                and len(batch) < len([step for step in together if _has_model(step, complete)])
            ):
                continue  # the rest of this checkpoint's prompts are being made; one start of the engine serves all
            return batch
        return []

    def _listen(self, slot: _Slot, worker: WorkerProcess, kind: str, directories: Sequence[Path]) -> None:
        for event in worker.do(kind, directories):
            self.events.put((slot, event))
        self.events.put((slot, None))

    def _free(self, slot: _Slot) -> None:
        slot.batch, slot.current = [], None
        if self.runtime.isolation == "process":
            slot.stop()

    def _hear(self, slot: _Slot, event: Mapping[str, Any], complete: set[str], outcome: Outcome) -> None:
        """Take in what a worker said."""
        by_key = {step.key: step for step in slot.batch}
        step = by_key.get(event.get("step", "")) or slot.current or slot.batch[0]
        slot.current = step
        match event["event"]:
            case "started":
                self.view.started(step)
            case "waiting":
                self.view.note(f"waiting for {step.title}: {event['owner']} is at it")
            case "progress":
                self.view.progress(step, event["done"], event["total"], event["unit"], event["rate"])
            case "finished" | "reused":
                complete.add(step.key)
                (outcome.executed if event["event"] == "finished" else outcome.reused).append(step)
                self.view.finished(step, event.get("seconds", 0.0))
            case "failed" | "died":
                self._failed(slot, event, complete, outcome)

    def _failed(self, slot: _Slot, event: Mapping[str, Any], complete: set[str], outcome: Outcome) -> None:
        if event["event"] == "died":
            message = f"its worker process ended with code {event['code']} (killed, or out of memory)"
        else:
            message = event["message"]
        outcome.user_error = bool(event.get("user")) and (outcome.user_error or not outcome.failed)
        # The request's log lies in the folder of its first step.
        log = self.store.directory(slot.batch[0]) / "worker.log"
        for step in slot.batch:
            if step.key not in complete:
                told = f"{step.title} failed: {message}" if step is slot.current else f"{step.title} was not done"
                outcome.failed[step.key] = f"{told}\n  log: {log}"
                self.view.failed(step, told)


def _has_model(step: Step, complete: set[str]) -> bool:
    model = step.inputs.get("model")
    return model is None or model.key in complete


def _together(step: Step) -> str:
    """Return what steps of one request have in common."""
    if step.kind == "generate":
        model = step.inputs.get("model")
        return model.key if model else str(step.identity.get("model"))
    component = step.identity["dataset" if step.kind == "prepare" else "judge"]
    return str(component["kind"])
