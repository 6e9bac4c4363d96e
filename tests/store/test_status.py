"""Manifests and the store: what counts as finished, and every way in which it no longer does."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from safetax.store.manifest import MANIFEST, STEP, write_json, write_manifest
from safetax.store.status import Store, described, most_similar
from safetax.store.step import Step
from tests.support.tiny_steps import answered, chats, make, prompts, put_manifest, put_responses


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
    assert (status.state, status.reason) == ("damaged", "its manifest cannot be read, or was changed")
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


def test_freezing_again_changes_no_finished_step(store: Store, step: Step) -> None:
    time.sleep(0.01)
    store.freeze(step)
    assert store.status(step, full=True).complete
    assert json.loads((store.directory(step) / STEP).read_text())["title"] == step.title


@pytest.mark.parametrize("part", ["", MANIFEST])
def test_steps_swapped_with_each_other_are_found(store: Store, step: Step, part: str) -> None:
    other = prompts(6)
    make(store, other)
    one, two, aside = store.directory(step) / part, store.directory(other) / part, store.root / "aside"
    one.rename(aside)
    two.rename(one)
    aside.rename(two)
    for each, foreign in ((step, other), (other, step)):
        assert store.status(each).reason == f"its manifest is that of {foreign.key}"
    make(store, step, other)
    assert store.status(step, full=True).complete and store.status(other, full=True).complete
    assert store.manifest(step) != store.manifest(other)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"outputs": {}}, "its manifest names no examples.jsonl"),
        ({"identity": {}}, "its manifest was changed: its identity gives"),
        ({"version": 99}, "its manifest was changed: its identity gives"),
    ],
)
def test_a_manifest_that_says_too_little_is_damage(
    store: Store, step: Step, change: dict[str, object], reason: str
) -> None:
    manifest = store.manifest(step) or {}
    write_manifest(store.directory(step), {**manifest, **change})
    assert store.status(step).state == "damaged" and store.status(step).reason.startswith(reason)
    make(store, step)
    assert store.status(step).complete


def test_any_value_of_a_manifest_that_is_changed_is_found(store: Store, step: Step) -> None:
    """Also where the type stays, as in a number of the summary, which a report would show."""
    path = store.directory(step) / MANIFEST
    sealed = json.loads(path.read_text())
    for change in ({"summary": {"examples": 5}}, {"title": "other"}, {"provenance": {}}, {"seal": "0"}):
        write_json(path, {**sealed, **change})
        assert store.status(step).reason == "its manifest cannot be read, or was changed", change


def test_a_manifest_of_an_earlier_version_without_a_seal_is_reused(store: Store, step: Step) -> None:
    path = store.directory(step) / MANIFEST
    unsealed = {key: value for key, value in json.loads(path.read_text()).items() if key != "seal"}
    write_json(path, unsealed)
    assert store.status(step, full=True).complete
    for name, wrong in (("summary", []), ("inputs", {"a": "b"}), ("outputs", {"examples.jsonl": {"size": "4"}})):
        write_json(path, {**unsealed, name: wrong})
        assert store.status(step).state == "damaged", name


@pytest.mark.parametrize("name", [MANIFEST, STEP, "runtime.json", "worker.log", "examples.jsonl", "scratch"])
def test_what_stands_in_the_place_of_a_file_or_a_folder_is_removed_and_the_step_made(
    store: Store, step: Step, name: str
) -> None:
    place = store.directory(step) / name
    place.unlink(missing_ok=True)
    if name == "scratch":
        place.write_text("a file")
        (store.directory(step) / MANIFEST).unlink()
    else:
        (place / "deep").mkdir(parents=True)
    make(store, step)
    assert store.status(step, full=True).complete
    assert not (store.directory(step) / name / "deep").exists()


def test_a_file_in_the_place_of_a_steps_folder_is_removed_and_the_step_made(store: Store, step: Step) -> None:
    shutil.rmtree(store.directory(step))
    store.directory(step).write_text("a file")
    assert store.status(step).reason == "a file stands in the place of its folder"
    make(store, step)
    assert store.status(step).complete
