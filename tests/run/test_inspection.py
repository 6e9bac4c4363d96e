"""``python -m safetax.steps list | show | why | verify``: what they say of steps, and what is found damaged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from safetax.run.runner import GraphRunner
from safetax.store.locks import locked
from safetax.store.manifest import MANIFEST, read_json, write_json, write_manifest
from safetax.store.status import Store
from safetax.store.step import Step
from tests.support.steps_command import Command
from tests.support.tiny_steps import (
    answered,
    chats,
    make,
    prompts,
    put_responses,
    put_run,
)


def test_list_shows_each_step_with_its_state(store: Store, score: Step, command: Command) -> None:
    store.freeze(chats(3))
    begun = store.freeze(chats(4)) / "worker.log"
    begun.write_text("begun")
    os.truncate(store.directory(score) / "verdicts.jsonl", 1)
    with locked(store.freeze(chats(5))):
        told = command("list")
    assert told.code == 0
    rows = {line.split()[1]: line for line in told.out.splitlines()[1:-1]}
    states = {score.inputs["prompts"]: "complete", score: "damaged", chats(3): "absent", chats(4): "unfinished"}
    for step, state in {**states, chats(5): "running"}.items():
        assert state in rows[step.fingerprint] and step.title in rows[step.fingerprint]
        assert rows[step.fingerprint].startswith(step.kind)
    assert told.out.splitlines()[-1].startswith("6 steps, ")


def test_list_filters(store: Store, score: Step, command: Command) -> None:
    store.freeze(chats(3))
    assert command("list", "--kind", "score", "generate").out.splitlines()[-1].startswith("2 steps, ")
    told = command("list", "--state", "absent")
    assert chats(3).fingerprint in told.out and score.fingerprint not in told.out
    assert command("list", "--state", "stale").out.splitlines() == [f"0 steps, 0 B in {store.root}"]


def test_show_tells_all_of_a_step(store: Store, score: Step, command: Command) -> None:
    told = command("show", score.fingerprint[:7])
    assert told.code == 0
    digest = (store.manifest(score) or {})["outputs"]["verdicts.jsonl"]["sha256"]
    for text in (
        score.key,
        score.title,
        "judge.world_seed  0",
        f"{score.inputs['responses'].key}  {score.inputs['responses'].title}  (complete)",
        "verdicts.jsonl",
        digest[:16],
        "seconds   0.1",
        "kept",
    ):
        assert text in told.out
    assert "Traceback" not in command("show", store.freeze(chats(3)).name).out


def test_why_of_a_finished_step_names_what_makes_it_other_than_the_next(store: Store, command: Command) -> None:
    make(store, prompts(4), prompts(5), prompts(5, "benign"))
    told = command("why", prompts(5).key)
    assert "It is complete and reused" in told.out
    assert f"Against {prompts(4).key}" in told.out and "  dataset.samples: 4 -> 5" in told.out
    assert f"Against {prompts(5, 'benign').key}" in told.out and "  dataset.split: benign -> harmful" in told.out


def test_why_of_each_state(store: Store, score: Step, command: Command) -> None:
    absent = answered(prompts(7))
    put_run(store.root, "other", absent)
    told = command("why", absent.key)
    assert "It is not reused; absent: never made." in told.out
    assert "The run other uses it; this makes it again: python -m safetax seed=3" in told.out

    os.truncate(store.directory(score) / "verdicts.jsonl", 1)
    assert "It is not reused; damaged: verdicts.jsonl has 1 bytes instead of 3." in command("why", score.key).out
    with locked(store.directory(score)):
        assert f"It is being made now: process {os.getpid()} on " in command("why", score.key).out

    (store.directory(score) / "verdicts.jsonl").write_text("{}\n")
    put_responses(store, score.inputs["responses"], ["other"])
    assert (
        f"stale: its input responses ({score.inputs['responses'].key}) was made again" in command("why", score.key).out
    )
    os.truncate(store.directory(score.inputs["responses"]) / "responses.jsonl", 1)
    assert f"Its input responses ({score.inputs['responses'].key}) is not complete" in command("why", score.key).out


def test_why_of_a_failed_step_shows_the_end_of_its_last_log(store: Store, command: Command) -> None:
    from safetax.config.runtime import Runtime
    from tests.run.test_runner import Recorder

    bad = prompts(5000)
    log = store.freeze(bad) / "worker.log"
    log.write_text("--- of an earlier attempt\nan older mistake\n")
    GraphRunner(store, Recorder(), Runtime(str(store.root))).run([bad])
    told = command("why", bad.key)
    assert "It is not reused; unfinished: it was begun and not finished." in told.out
    assert f"It failed or was killed. The end of {log}:" in told.out
    assert "  Error: prompts lab_prompts: samples is 5000; the lab has 200 harmful prompts" in told.out
    assert "an older mistake" not in told.out
    log.write_bytes(b"\xff \x1b[31m " + b"[bold]markup[/bold]\n" * 100)
    assert "[bold]markup[/bold]" in command("why", bad.key).out


def test_verify_hashes_all(store: Store, score: Step, command: Command) -> None:
    told = command("verify")
    assert told.code == 0 and told.out.startswith("3 steps whole (")
    file = store.directory(score) / "verdicts.jsonl"
    before = file.stat()
    file.write_text("[]\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    told = command("verify")
    assert told.code == 1
    assert f"{score.key} {score.title}: verdicts.jsonl has other content than when it was made" in told.out
    assert "2 steps whole" in told.out and ", 1 not." in told.out
    assert command("verify", score.inputs["prompts"].key).code == 0
    assert command("verify", score.inputs["prompts"].key, score.fingerprint).code == 1


def test_verify_holds_manifests_against_their_inputs_and_their_own_fingerprint(
    store: Store, score: Step, command: Command
) -> None:
    path = store.directory(score) / MANIFEST
    manifest = read_json(path) or {}
    write_json(path, {**manifest, "summary": {"errors": 0}})
    told = command("verify", score.key)
    assert told.code == 1 and "its manifest cannot be read, or was changed" in told.out
    write_manifest(path.parent, {**manifest, "identity": {"judge": {"kind": "lab", "world_seed": 1}}})
    told = command("verify", score.key)
    assert told.code == 1 and "its manifest was changed" in told.out
    write_manifest(path.parent, {**manifest, "fingerprint": "0" * 12})
    assert f"its manifest is that of score/{'0' * 12}" in command("verify", score.key).out
    write_json(path, manifest)
    put_responses(store, score.inputs["responses"], ["other"])
    told = command("verify")
    assert told.code == 1 and "was made again with other content" in told.out


def test_verify_of_unfinished_steps(store: Store, score: Step, command: Command) -> None:
    (store.freeze(chats(3)) / "worker.log").touch()
    told = command("verify")
    assert told.code == 0 and "1 not finished" in told.out
    told = command("verify", chats(3).key)
    assert told.code == 1 and "it was begun and not finished" in told.out


def test_verify_says_where_an_input_is_gone(store: Store, score: Step, command: Command) -> None:
    assert command("prune", "--yes", "--drop-run", "kept").code == 0
    make(store, prompts())
    put_responses(store, answered(prompts()), ["um"])
    (store.directory(prompts()) / MANIFEST).unlink()
    told = command("verify", answered(prompts()).key)
    assert told.code == 0 and f"its input {prompts().key} is not on disk any more" in told.out


WAYS: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "list": lambda path: path.write_text("[]"),
    "object": lambda path: path.write_text('{"steps": 3, "runs": [], "inputs": [[]], "jobs": {}, "job": []}'),
    "nested": lambda path: path.write_text("[" * 100_000),
    "bytes": lambda path: path.write_bytes(b"\xff\x00\xfe"),
    "folder": lambda path: (path.unlink(), path.mkdir(), (path / "inside").write_text("somebody's")),
    "pipe": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_damage_of_any_file_is_a_traceback(store: Store, score: Step, command: Command, way: str) -> None:
    """Each command says what it can, or one line of what is damaged; the step that is damaged is not complete."""
    submission = {"runs": {"begun": [score.key]}, "overrides": {}}
    write_json(store.root / "runs" / "begun" / "cluster" / "jobs.json", submission)
    write_json(store.root / "sweeps" / "all" / "sweep.json", {"runs": ["kept"]})
    write_json(store.root / "cluster" / "steps" / f"{score.key.replace('/', '-')}.json", {"job": "5"})
    whole = store.root.with_name("whole")
    shutil.copytree(store.root, whole)
    for path in [path for path in sorted(store.root.rglob("*")) if path.is_file()]:
        if way == "cut" and not path.stat().st_size:
            continue
        WAYS[way](path)
        for arguments in (["list"], ["show", score.key], ["why", score.key], ["verify"], ["prune", "--dry-run"]):
            told = command(*arguments)
            assert told.code in (0, 1, 2), (path, arguments)
            assert told.err.count("\n") == (1 if told.code == 2 else 0), (path, arguments, told.err)
        if path.name == MANIFEST:
            key = f"{path.parent.parent.name}/{path.parent.name}"
            assert store.status(key).state == "damaged", path
        shutil.rmtree(store.root)
        shutil.copytree(whole, store.root)
