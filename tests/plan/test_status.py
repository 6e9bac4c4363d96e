"""What is on disk of a plan is read once, whoever asks."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from safetax.config.compose import Composer
from safetax.plan.preflight import problems
from safetax.plan.status import PlanStatus, status_of
from safetax.run.session import Session
from safetax.store.status import Status, Store
from safetax.store.step import OUTPUTS, Step
from tests.support.tiny_steps import put_manifest


def lab(outputs: Path, *overrides: str) -> PlanStatus:
    session = Session(Console(file=io.StringIO()))
    jobs = Composer().jobs([f"runtime.outputs={outputs}", *overrides], multirun=True)
    return status_of(session.plan(jobs), outputs)


def test_table_jobs_and_preflight_read_each_step_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[str] = Counter()
    whole, every = Store.status, Store.finished
    listed = []

    def counted(store: Store, step: Step | str, full: bool = False) -> Status:
        asked[step if isinstance(step, str) else step.key] += 1
        return whole(store, step, full)

    monkeypatch.setattr(Store, "status", counted)
    monkeypatch.setattr(Store, "finished", lambda store: listed.append(store) or every(store))
    status = lab(tmp_path, "epochs=0,1")
    Session(Console(file=io.StringIO())).show(status, "slurm")
    problems(status)
    assert asked == Counter(step.key for step in status.plan.steps) and len(listed) == 1


def test_what_waits_is_what_is_not_done_and_what_comes_after_it(tmp_path: Path) -> None:
    status = lab(tmp_path)
    assert status.waiting == status.plan.steps
    first = next(step for step in status.plan.steps if not step.inputs)
    (status.store.freeze(first) / "examples.jsonl").write_text("")
    put_manifest(status.store, first)
    assert first in status.waiting, "it was read already"
    again = status_of(status.plan, tmp_path)
    assert again.waiting == [step for step in status.plan.steps if step is not first]


def test_a_step_takes_its_time_from_the_same_model_engine_and_judge_alone(tmp_path: Path) -> None:
    """All steps of one run are finished: of another run those alone have a time that do the same work."""
    done = lab(tmp_path)
    for step in done.plan.steps:
        for pattern in OUTPUTS[step.kind]:
            path = done.store.freeze(step) / pattern.replace("*", "weights")
            path.parent.mkdir(exist_ok=True)
            path.write_text("")
        put_manifest(done.store, step)

    def timed(*overrides: str) -> dict[str, set[bool]]:
        status = lab(tmp_path, *overrides)
        found: dict[str, set[bool]] = {}
        for step in status.waiting:
            found.setdefault(step.kind, set()).add(status.timed_like(step) is not None)
        return found

    trained = ("train", "generate", "score", "perplexity")
    longer, other = timed("epochs=3"), timed("model.architecture.hidden_size=96")
    assert {kind: longer[kind] for kind in trained} == {kind: {True} for kind in trained}
    assert {kind: other[kind] for kind in trained} == {kind: {False} for kind in trained}
    served = timed("engine=vllm")
    assert {kind: served[kind] for kind in ("generate", "score")} == {"generate": {False}, "score": {True}}
    assert timed("judge=phrases") == {"score": {False}}
