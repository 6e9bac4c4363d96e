"""A step as its worker sees it: what it begins from, and what it checks before it is finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safetax.errors import UserError
from safetax.store.job import StepJob
from safetax.store.manifest import clear, write_manifest
from safetax.store.status import Store
from safetax.store.step import Step
from tests.support.tiny_steps import answered, judged, make, prompts, put_responses, silent


def examples(store: Store, step: Step) -> Path:
    return store.directory(step) / "examples.jsonl"


def test_manifest_is_written_after_all_outputs(store: Store, step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the manifest comes, the outputs are there and what is temporary is still there, not the other way round."""
    clear(store.directory(step))
    seen = []

    def watched(directory: Path, manifest: dict[str, Any]) -> None:
        seen.append((examples(store, step).exists(), (directory / "scratch").exists()))
        write_manifest(directory, manifest)

    monkeypatch.setattr("safetax.store.job.write_manifest", watched)
    make(store, step)
    assert seen == [(True, True)]


def test_what_an_attempt_left_is_used_only_with_the_same_inputs(store: Store, step: Step) -> None:
    score = judged(step, answered(step))
    put_responses(store, score.inputs["responses"], ["a", "b"])
    job = StepJob(store.freeze(score), silent())
    job.begin()
    (job.scratch / "checkpoint").write_text("of an hour's work")
    job.begin()
    assert (job.scratch / "checkpoint").exists()
    put_responses(store, score.inputs["responses"], ["a", "c"])
    job.begin()
    assert not (job.scratch / "checkpoint").exists()


def test_input_made_again_during_the_work_is_an_error(store: Store, step: Step) -> None:
    """The manifest would otherwise vouch for inputs that the step was not made from."""
    score = judged(step, answered(step))
    put_responses(store, score.inputs["responses"], ["a", "b"])

    def work(jobs: object) -> None:
        put_responses(store, score.inputs["responses"], ["a", "c"])
        job.finish({})

    job = StepJob(store.freeze(score), silent())
    job.begin()
    with pytest.raises(RuntimeError, match="an input was made again with other content"):
        work([job])
    assert store.manifest(score) is None


def test_a_step_without_what_its_kind_makes_is_not_finished(store: Store) -> None:
    job = StepJob(store.freeze(prompts(7)), silent())
    job.begin()
    with pytest.raises(RuntimeError, match=r"the worker finished without writing examples\.jsonl"):
        job.finish({})
    assert store.manifest(prompts(7)) is None


def test_an_input_in_the_folder_of_another_step_is_not_taken(store: Store, step: Step) -> None:
    other = prompts(9)
    make(store, other)
    store.directory(step).rename(store.root / "aside")
    store.directory(other).rename(store.directory(step))
    with pytest.raises(UserError, match=r"its input prompts \(.*\) is not finished"):
        StepJob(store.freeze(answered(step)), silent()).begin()


@pytest.mark.parametrize("name", ["step.json", "runtime.json"])
@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_description_that_cannot_be_read_is_named_with_the_remedy(store: Store, name: str, content: str) -> None:
    directory = store.freeze(prompts())
    (directory / name).write_text(content)
    with pytest.raises(UserError, match=f"has no readable {name}. Give the command that needs it again"):
        StepJob(directory, silent())


def test_unfinished_input_is_named(store: Store) -> None:
    score = judged(prompts(), answered(prompts()))
    job = StepJob(store.freeze(score), silent())
    with pytest.raises(UserError, match=r"its input prompts \(.*\) is not finished; run it first"):
        job.begin()
