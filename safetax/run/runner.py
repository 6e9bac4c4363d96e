"""Runs a graph of steps on this machine: reuses what is complete and has workers do the rest."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetax.config.runtime import Runtime
from safetax.errors import UserError, explained
from safetax.run.order import early, has_model, together, trainings_behind
from safetax.run.outcome import RunOutcome
from safetax.run.view import PlainView
from safetax.run.worker_process import WorkerProcess
from safetax.store.manifest import LOG
from safetax.store.status import Status, Store, wanted
from safetax.store.step import Step
from safetax.store.threads import usable_cores

__all__ = ["GraphRunner", "trainings_behind"]

PRIORITY = {"prepare": 0, "generate": 1, "score": 2, "perplexity": 3, "merge": 4, "train": 5}
"""What is done first of the steps that are ready: results come early, and the prompts of a checkpoint together.

Of trainings see :meth:`GraphRunner._urgency`.
"""


MOST_WORKERS = 8
"""Workers at a time where their number is not set: each takes about a GiB of memory."""


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

    def __init__(self, store: Store, view: PlainView, runtime: Runtime) -> None:
        self.store = store
        self.view = view
        self.runtime = runtime
        self.statuses: dict[str, Status] = {}
        self.slots = [_Slot() for _ in range(workers_of(runtime))]
        self.events: queue.Queue[tuple[_Slot, Mapping[str, Any] | None]] = queue.Queue()
        self.waiting: dict[str, Step] = {}
        self.wanted: set[str] = set()
        """Steps whose outputs are read by steps that are to be made."""
        self.complete: set[str] = set()
        self.trainings_behind: Mapping[str, int] = {}
        self.outcome = RunOutcome()
        self.runs: Sequence[Collection[str]] = ()
        self.early: set[str] = set()
        """Steps that prepare data of no model's making: they go before all others, so that a mistake is told first."""

    def run(
        self, steps: Sequence[Step], one_run: bool = False, runs: Sequence[Collection[str]] | None = None
    ) -> RunOutcome:
        """Bring all steps to completion, as far as that can be.

        Args:
            steps: the graph, inputs before what uses them.
            one_run: they are those of one run.
            runs: the keys of each run's steps: where data of a run cannot be made, nothing else is done for it either.
        """
        self.runs = runs if runs is not None else [{step.key for step in steps}] if one_run else ()
        self.early = early(steps)
        self.view.begin(len(steps))
        self.waiting = {step.key: step for step in steps}
        found = self.store.statuses(steps)
        self.wanted = wanted(steps, found)
        self.trainings_behind = trainings_behind(steps)
        try:
            self._settle(found)
            while True:
                self._start()
                if not any(slot.batch for slot in self.slots):
                    break
                slot, event = self.events.get()
                if event is not None:
                    self._hear(slot, event)
                else:
                    self._free(slot)
                self._settle({})
        finally:
            for slot in self.slots:
                slot.stop()
        assert not self.waiting, f"steps whose inputs are not in the graph: {', '.join(self.waiting)}"
        return self.outcome

    def _settle(self, found: Mapping[str, Status]) -> None:
        """Take the steps that can be reused out of those that wait; ``found`` are statuses that were just read."""
        for key, step in list(self.waiting.items()):
            if key not in self.statuses and self._is_ready(step):
                status = self.statuses[key] = found.get(key) or self.store.status(step)
                if status.serves(key in self.wanted):
                    self.complete.add(key)
                    self.outcome.reused.append(step)
                    self.view.reused(step)
                    self.waiting.pop(key)
                elif status.complete:
                    self.view.note(f"{step.title} ({key}) is made again: its weights were let go, and are needed")
                elif status.state in ("damaged", "stale"):
                    self.view.note(f"{step.title} ({key}) is made again: {status.reason}")

    def _is_ready(self, step: Step) -> bool:
        return all(source.key in self.complete for source in step.inputs.values())

    def _start(self) -> None:
        """Give the free slots what is ready."""
        for slot in self.slots:
            if not slot.batch and (batch := self._next()):
                for step in batch:
                    self.waiting.pop(step.key)
                slot.batch, slot.current = batch, None
                kind = batch[0].kind
                try:
                    directories = [self.store.freeze(step) for step in batch]
                    if slot.worker is None or not slot.worker.alive:
                        slot.worker = WorkerProcess(self.runtime.python.get(kind), directories[0] / LOG)
                except (OSError, UserError) as error:  # a full disk, an interpreter that is none
                    user = isinstance(error, UserError)
                    told = str(error) if isinstance(error, UserError) else explained(error)
                    steps = [step.key for step in batch]
                    self.events.put((slot, {"event": "failed", "steps": steps, "message": told, "user": user}))
                    self.events.put((slot, None))
                    continue
                threading.Thread(target=self._listen, args=(slot, slot.worker, kind, directories), daemon=True).start()

    def _next(self) -> list[Step]:
        """Return ready steps that one request takes: of one checkpoint, or of one component."""
        ready = [step for step in self.waiting.values() if self._is_ready(step)]
        busy = any(slot.batch for slot in self.slots)
        preparing = self.early & {*self.waiting, *(step.key for slot in self.slots for step in slot.batch)}
        for first in sorted(ready, key=self._urgency):
            if preparing and first.kind != "prepare":
                return []
            if first.kind in ("train", "merge"):
                return [first]
            alike = [
                step for step in self.waiting.values() if step.kind == first.kind and together(step) == together(first)
            ]
            batch = [step for step in alike if step in ready]
            if (
                first.kind == "generate"
                and busy
                and len(batch) < len([step for step in alike if has_model(step, self.complete)])
            ):
                continue  # the rest of this checkpoint's prompts are being made; one start of the engine serves all
            return batch
        return []

    def _urgency(self, step: Step) -> tuple[int, int, float]:
        """Return by what a ready step is chosen, the least first; what is equal keeps the plan's order.

        Where several workers share the trainings, those that others wait for go first, and then the longest: begun at
        the end, a long one would run alone.
        """
        if step.kind != "train" or len(self.slots) == 1:
            return PRIORITY[step.kind], 0, 0.0
        data = self.store.manifest(step.inputs["data"]) or {"outputs": {}}
        size = sum(output["size"] for output in data["outputs"].values())
        return PRIORITY["train"], -self.trainings_behind[step.key], -size * step.identity["training"]["epochs"]

    def _listen(self, slot: _Slot, worker: WorkerProcess, kind: str, directories: Sequence[Path]) -> None:
        try:
            for event in worker.do(kind, directories):
                self.events.put((slot, event))
        finally:
            self.events.put((slot, None))  # whatever happens here, the graph does not wait for it for ever

    def _free(self, slot: _Slot) -> None:
        """Take the slot back when its request is over."""
        left = [step for step in slot.batch if step.key not in self.complete | self.outcome.failed.keys()]
        if left:
            self._fail(left, "its worker was done without finishing it", False, left[0])
        failed = any(step.key in self.outcome.failed for step in slot.batch)
        slot.batch, slot.current = [], None
        if self.runtime.isolation == "process" or failed:
            slot.stop()  # after a failure a process may hold anything: memory, half an import

    def _hear(self, slot: _Slot, event: Mapping[str, Any]) -> None:
        """Take in what a worker said."""
        by_key = {step.key: step for step in slot.batch}
        if event["event"] == "failed":
            steps = [by_key[key] for key in event["steps"] if key not in self.complete]
            self._fail(steps, event["message"], bool(event["user"]), by_key[event["steps"][0]])
            return
        if event["event"] == "died":
            self._died(slot, event["code"])
            return
        step = by_key.get(event.get("step", "")) or slot.batch[0]
        slot.current = step
        match event["event"]:
            case "started":
                self.view.started(step)
            case "waiting":
                self.view.note(f"waiting for {step.title}: {event['owner']} is at it")
            case "note":
                self.view.note(f"{step.title}: {event['text']}")
            case "progress":
                self.view.progress(step, event["done"], event["total"], event["unit"], event["rate"])
            case "finished":
                self.complete.add(step.key)
                self.outcome.executed.append(step)
                self.view.finished(step, event["seconds"])
            case "reused":
                self.complete.add(step.key)
                self.outcome.reused.append(step)
                self.view.reused(step)

    def _died(self, slot: _Slot, code: int) -> None:
        """Fail what a worker's process was at when it ended; steps that it had not come to go back to wait."""
        left = [step for step in slot.batch if step.key not in self.complete | self.outcome.failed.keys()]
        if not left:
            return
        logged = slot.batch[0]
        if left[0].kind != "generate":
            logged = at = slot.current if slot.current in left else left[0]
            for step in left:
                if step is not at:
                    self.waiting[step.key] = step
                    slot.batch.remove(step)
            left = [at]
        if code >= 0:
            how = f"with code {code}"
        else:
            how = f"by signal {-code}, {signal.strsignal(-code)}" + ", such as for want of memory" * (code == -9)
        self._fail(left, f"its worker process ended {how}", False, logged)

    def _fail(self, steps: Sequence[Step], message: str, user: bool, logged: Step) -> None:
        """Record steps that failed together, for one reason; ``logged`` is the one whose folder has the log."""
        log = self.store.directory(logged) / LOG
        where = f"\n  log: {log}" if log.exists() else ""
        for index, step in enumerate(steps):
            told = f"{step.title} failed: {message}" if index == 0 else f"{step.title} failed with it"
            self.outcome.user_error = user and (self.outcome.user_error or not self.outcome.failed)
            self.outcome.failed[step.key] = f"{told} [{step.key}]{where}"
            self.view.failed(step, told)
        for step in list(self.waiting.values()):  # inputs stand before what uses them
            doomed = self.outcome.failed.keys() | self.outcome.skipped.keys()
            behind = any(source.key in doomed for source in step.inputs.values())
            if behind or (user and steps[0].kind == "prepare" and step.kind != "prepare" and self._in_vain(step)):
                self.outcome.skipped[step.key] = self.waiting.pop(step.key)
                self.view.note(f"not done, since {'an input' if behind else 'data of the run'} failed: {step.title}")

    def _in_vain(self, step: Step) -> bool:
        """Whether each run that a step is of has data that could not be made."""
        of = [run for run in self.runs if step.key in run]
        return bool(of) and all(
            any(key.startswith("prepare/") and key in run for key in self.outcome.failed) for run in of
        )


def workers_of(runtime: Runtime) -> int:
    """Return the number of workers at a time: as set, or as many as the cores have threads for."""
    return runtime.workers or max(1, min(MOST_WORKERS, usable_cores() // (runtime.threads or 1)))
