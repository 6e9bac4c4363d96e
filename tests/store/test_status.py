"""Manifests and the store: what counts as finished, and every way in which it no longer does."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from safetax.errors import UserError
from safetax.store.job import StepJob, work_on
from safetax.store.locks import locked
from safetax.store.manifest import MANIFEST, STEP, clear, read_json, read_manifest, write_json
from safetax.store.status import Store, described, most_similar
from safetax.store.step import Step
from safetax.workers import prepare
from tests.support.tiny_steps import answered, chats, judged, make, prompts, put_manifest, put_responses, silent


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "outputs")


@pytest.fixture
def step(store: Store) -> Step:
    made = prompts()
    make(store, made)
    return made


def examples(store: Store, step: Step) -> Path:
    return store.directory(step) / "examples.jsonl"


def test_finished_step_is_complete_and_leaves_no_scratch(store: Store, step: Step) -> None:
    assert store.status(step).complete
    names = {path.name for path in store.directory(step).iterdir()}
    assert names == {STEP, "runtime.json", MANIFEST, "examples.jsonl"}
    manifest = store.manifest(step)
    assert manifest is not None
    assert manifest["outputs"].keys() == {"examples.jsonl"}
    assert manifest["summary"] == {"examples": 4}


def test_manifest_is_written_after_all_outputs(store: Store, step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the manifest comes, the outputs are there and what is temporary is still there, not the other way round."""
    clear(store.directory(step))
    seen = []

    def watched(path: Path, values: object, **keywords: bool) -> None:
        if path.name == MANIFEST:
            seen.append((examples(store, step).exists(), (store.directory(step) / "scratch").exists()))
        write_json(path, values, **keywords)

    monkeypatch.setattr("safetax.store.job.write_json", watched)
    make(store, step)
    assert seen == [(True, True)]


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "values.json"
    write_json(path, {"old": True})
    with pytest.raises(TypeError):
        write_json(path, {"a": "written before it fails", "new": object()})
    assert read_json(path) == {"old": True}
    assert [entry.name for entry in tmp_path.iterdir()] == ["values.json"]


def test_flipped_bit_with_the_same_size_and_time_is_found_by_a_full_look_alone(store: Store, step: Step) -> None:
    file = examples(store, step)
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[10] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.status(step).complete
    status = store.status(step, full=True)
    assert status.state == "damaged" and status.reason == "examples.jsonl has other content than when it was made"


def test_flipped_bit_with_a_new_time_is_found_on_reuse(store: Store, step: Step) -> None:
    file = examples(store, step)
    content = bytearray(file.read_bytes())
    content[10] ^= 1
    file.write_bytes(content)
    assert store.status(step).state == "damaged"


def test_truncated_output_is_found_on_reuse(store: Store, step: Step) -> None:
    file = examples(store, step)
    size = file.stat().st_size
    os.truncate(file, size - 1)
    status = store.status(step)
    assert (status.state, status.reason) == ("damaged", f"examples.jsonl has {size - 1} bytes instead of {size}")


def test_removed_output_is_found(store: Store, step: Step) -> None:
    examples(store, step).unlink()
    assert store.status(step).reason == "examples.jsonl is missing"
    examples(store, step).mkdir()
    assert store.status(step).reason == "examples.jsonl is no file"


@pytest.mark.parametrize(
    "content", ["", '{"outputs": {', "[]", "{}", '{"outputs": {"a": 3}, "inputs": {}}', '{"outputs": {}}', "\xff"]
)
def test_broken_manifest_is_damage_and_no_crash(store: Store, step: Step, content: str) -> None:
    (store.directory(step) / MANIFEST).write_bytes(content.encode("latin-1"))
    status = store.status(step)
    assert (status.state, status.reason) == ("damaged", "its manifest cannot be read")
    assert list(store.finished()) == []


def test_damaged_step_is_made_again_whole(store: Store, step: Step) -> None:
    before = store.manifest(step)
    os.truncate(examples(store, step), 3)
    (store.directory(step) / "stray").write_text("of the damaged one")
    (store.directory(step) / "worker.log").write_text("what happened before")
    make(store, step)
    after = store.manifest(step)
    assert before is not None and after is not None
    assert after["outputs"]["examples.jsonl"]["sha256"] == before["outputs"]["examples.jsonl"]["sha256"]
    assert not (store.directory(step) / "stray").exists()
    assert (store.directory(step) / "worker.log").read_text() == "what happened before", "a worker has it open"


def test_copy_with_other_times_is_reused_and_its_manifest_mended(
    store: Store, step: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Store(tmp_path / "copy")
    shutil.copytree(store.root, copy.root, copy_function=shutil.copyfile)
    assert examples(copy, step).stat().st_mtime_ns != examples(store, step).stat().st_mtime_ns
    assert copy.status(step).complete
    mended = copy.manifest(step)
    assert mended is not None
    assert mended["outputs"]["examples.jsonl"]["mtime_ns"] == examples(copy, step).stat().st_mtime_ns
    monkeypatch.setattr("safetax.store.manifest.sha256_of", lambda path: pytest.fail("hashed again"))
    assert copy.status(step).complete


def test_copy_is_not_mended_while_a_worker_is_at_the_step(store: Store, step: Step) -> None:
    before = store.manifest(step)
    os.utime(examples(store, step))
    with locked(store.directory(step)):
        assert store.status(step).complete
        assert store.manifest(step) == before
    assert store.status(step).complete
    assert store.manifest(step) != before


def test_copy_that_cannot_be_written_is_reused_all_the_same(
    store: Store, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(examples(store, step))

    def refused(path: Path, values: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("safetax.store.manifest.write_json", refused)
    assert store.status(step).complete


def test_half_written_step_is_unfinished_and_made(store: Store) -> None:
    step = prompts()
    assert store.status(step).state == "absent"
    directory = store.freeze(step)
    assert store.status(step).state == "absent"
    (directory / ".examples.jsonl").write_text('{"half')
    assert store.status(step).state == "unfinished"
    make(store, step)
    assert store.status(step).complete
    assert not (directory / ".examples.jsonl").exists()


def test_ancestor_made_again_with_the_same_content_changes_nothing(store: Store, step: Step) -> None:
    responses = answered(step)
    put_responses(store, responses, ["a", "b"])
    shutil.rmtree(store.directory(step))
    assert store.status(responses).complete, "an input that is gone takes nothing from what was made of it"
    make(store, step)
    assert store.status(responses).complete


def test_ancestor_made_again_with_other_content_is_noticed(store: Store, step: Step) -> None:
    responses = answered(step)
    put_responses(store, responses, ["a", "b"])
    with examples(store, step).open("a") as file:
        file.write("\n")
    put_manifest(store, step)
    status = store.status(responses)
    assert status.state == "stale"
    assert status.reason == f"its input prompts ({step.key}) was made again with other content"


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


def test_unfinished_input_is_named(store: Store) -> None:
    score = judged(prompts(), answered(prompts()))
    job = StepJob(store.freeze(score), silent())
    with pytest.raises(UserError, match=r"its input prompts \(.*\) is not finished; run it first"):
        job.begin()


def test_manifest_of_a_killed_finish_is_complete_and_its_scratch_goes(store: Store, step: Step) -> None:
    """Killed between manifest and cleaning up, the step is finished; the next worker that looks at it cleans up."""
    scratch = store.directory(step) / "scratch"
    scratch.mkdir()
    (scratch / "checkpoint").write_text("left")
    assert store.status(step).complete
    before = read_manifest(store.directory(step))
    assert work_on([store.directory(step)], prepare.work, silent()) == 0
    assert not scratch.exists()
    assert read_manifest(store.directory(step)) == before


def differences(store: Store, step: Step) -> list[str]:
    """Keys in which a step differs from the finished one that is most like it."""
    finished = [(manifest, described(manifest)) for manifest in store.finished()]
    return next((lines for _, lines in most_similar(step.frozen(), finished, 1)), [])


def test_differences_name_the_keys(store: Store) -> None:
    make(store, prompts(4), prompts(5, "benign"), chats(4))
    assert differences(store, prompts(6)) == ["dataset.samples: 4 -> 6"]
    assert differences(store, prompts(5)) in (
        ["dataset.samples: 4 -> 5"],
        ["dataset.split: benign -> harmful"],
    )
    assert differences(store, prompts(6, "benign", seed=1)) == [
        "dataset.samples: 5 -> 6",
        "dataset.seed: 0 -> 1",
    ]
    other = Step("train", "unlike all", {"training": {"epochs": 1}})
    assert differences(store, other) == []


def test_differences_name_inputs(store: Store, step: Step) -> None:
    responses, others = answered(step), answered(prompts(5))
    put_responses(store, responses, ["a"])
    assert differences(store, others) == [f"input prompts: {step.key} -> {others.inputs['prompts'].key}"]


def test_fingerprint_depends_on_kind_identity_and_inputs_alone() -> None:
    one = prompts()
    assert one.fingerprint == Step("prepare", "other words", one.identity, runtime={"threads": 7}).fingerprint
    others = [
        prompts(5),
        answered(one),
        answered(prompts(5)),
        judged(one, answered(one)),
        judged(one, answered(one, 1)),
    ]
    assert len({step.fingerprint for step in [one, *others]}) == 6
    shuffled = Step("prepare", "", {"dataset": dict(reversed(list(one.identity["dataset"].items())))})
    assert shuffled.fingerprint == one.fingerprint


def test_freezing_again_changes_no_finished_step(store: Store, step: Step) -> None:
    time.sleep(0.01)
    store.freeze(step)
    assert store.status(step, full=True).complete
    assert json.loads((store.directory(step) / STEP).read_text())["title"] == step.title


def test_a_step_is_frozen_while_another_process_clears_its_folder(tmp_path: Path) -> None:
    store, step = Store(tmp_path), chats(4)
    directory = store.freeze(step)
    over = threading.Event()

    def clear_again_and_again() -> None:
        while not over.is_set():
            clear(directory)

    thread = threading.Thread(target=clear_again_and_again)
    thread.start()
    try:
        for _ in range(300):
            store.freeze(step)
    finally:
        over.set()
        thread.join()
    assert read_json(directory / "step.json") == json.loads(json.dumps(step.frozen()))
    assert sorted(path.name for path in directory.parent.iterdir()) == [directory.name]
