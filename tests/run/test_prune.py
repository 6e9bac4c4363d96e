"""``python -m safetax.steps prune``: what goes, what stays, and what an interruption leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safetax.store.locks import lock_path, locked, shared_use
from safetax.store.manifest import MANIFEST, read_json, write_json
from safetax.store.status import Store
from safetax.store.step import Step
from tests.support.steps_command import Command, all_files, apart
from tests.support.tiny_steps import (
    chats,
    kill,
    make,
    put_run,
    python,
)

HOLD = """
import sys
from pathlib import Path
from safetax.store.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_prune_removes_what_no_run_needs(store: Store, score: Step, command: Command) -> None:
    before = all_files(store)
    make(store, chats(3))
    (store.freeze(chats(4)) / "worker.log").touch()
    left = store.directory(score) / "scratch"
    left.mkdir()
    (left / "checkpoint").write_text("left")
    foreign = store.root / "train" / "my notes"
    foreign.mkdir(parents=True)
    told = command("prune", "--dry-run")
    assert told.code == 0
    for text in (chats(3).key, "no run needs it", chats(4).key, "unfinished", f"{score.key}/scratch", "3 to remove"):
        assert text in told.out
    assert store.status(chats(3)).complete, "a dry run removes nothing"
    told = command("prune", "--yes")
    assert told.code == 0 and "3 removed" in told.out
    assert all_files(store) == before and foreign.is_dir()
    assert not store.directory(chats(3)).exists() and not lock_path(store.directory(chats(3))).exists()
    assert command("prune", "--yes").out.startswith("Nothing to remove")


def test_prune_drops_runs(store: Store, score: Step, command: Command) -> None:
    make(store, chats(3), chats(4))
    put_run(store.root, "three", score.inputs["prompts"], chats(3))
    put_run(store.root, "four", chats(4))
    write_json(store.root / "sweeps" / "all" / "sweep.json", {"runs": ["three", "four"]})
    told = command("prune", "--drop-run", "three", "--dry-run")
    assert chats(3).key in told.out and chats(4).key not in told.out
    assert f"The sweep {store.root / 'sweeps' / 'all'} names such a run" in told.out
    assert command("prune", "--drop-run", "three", "--yes").code == 0
    assert not (store.root / "runs" / "three").exists()
    assert not store.status(chats(3)).complete
    assert store.status(score.inputs["prompts"]).complete, "another run needs it too"
    assert command("prune", "--keep-run", "four", "--yes").code == 0
    assert [path.name for path in (store.root / "runs").iterdir()] == ["four"]
    assert [f"{m['kind']}/{m['fingerprint']}" for m in store.finished()] == [chats(4).key]


@pytest.mark.parametrize("where", ["runs/begun", "sweeps/all"])
def test_prune_keeps_what_a_submission_counts_on(store: Store, score: Step, command: Command, where: str) -> None:
    """Its run is not whole yet, so it has no record of its own."""
    make(store, chats(3), chats(4))
    runs = {"begun": [chats(3).key, chats(5).key], "kept": [score.key]}
    record = store.root / where / "cluster" / "jobs.json"
    write_json(record, {"schema": 1, "runs": runs, "overrides": {"begun": ["seed=7"]}})
    told = command("prune", "--yes")
    assert told.code == 0 and "1 removed" in told.out
    assert store.status(chats(3)).complete and not store.directory(chats(4)).exists()
    assert "The run begun uses it; this makes it again: python -m safetax seed=7" in command("why", chats(5).key).out
    assert command("prune", "--yes", "--drop-run", "begun").code == 0
    assert not store.directory(chats(3)).exists() and store.status(score).complete
    assert (read_json(record) or {"runs": {}})["runs"].keys() <= {"kept"}
    assert command("prune", "--yes").out.startswith("Nothing to remove")


def test_prune_keeps_what_kept_steps_were_made_from(store: Store, score: Step, command: Command) -> None:
    put_run(store.root, "kept", score)  # names the last step alone
    assert command("prune", "--yes").out.startswith("Nothing to remove")


def test_prune_takes_no_run_that_it_cannot_read_for_none(store: Store, score: Step, command: Command) -> None:
    record = store.root / "runs" / "kept" / "run.json"
    for broken in ("{", "{}"):
        record.write_text(broken)
        told = command("prune", "--yes")
        assert told.code == 2 and "so what it needs is not known" in told.err and told.err.count("\n") == 1
    assert store.status(score).complete
    assert command("prune", "--yes", "--drop-run", "kept").code == 0
    assert list(store.finished()) == []


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("\n", 1), ("", 1), ("what?\n", 1), ("y\n", 0), ("YES\n", 0)])
def test_prune_asks_first(store: Store, score: Step, answer: str, code: int) -> None:
    make(store, chats(3))
    before = all_files(store)
    told = apart(store, "prune", answer=answer)
    assert told.returncode == code and told.stderr == ""
    assert "Remove them? [y/N]" in told.stdout
    assert store.status(chats(3)).complete == (code == 1)
    assert ("Nothing was removed." in told.stdout) == (code == 1)
    assert (all_files(store) == before) == (code == 1)


def test_prune_leaves_a_step_alone_that_someone_is_at(store: Store, score: Step) -> None:
    make(store, chats(3), chats(4))
    holder = python(HOLD, store.directory(chats(3)))
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    told = apart(store, "prune", "--yes")
    assert told.returncode == 0
    assert f"{chats(3).key} stays: process {holder.pid} on " in told.stdout
    assert "1 removed" in told.stdout
    assert store.status(chats(3)).complete and not store.directory(chats(4)).exists()
    kill(holder)
    assert apart(store, "prune", "--yes").returncode == 0
    assert not store.directory(chats(3)).exists()


def test_prune_looks_again_after_the_answer(
    store: Store, score: Step, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ended while the question stood keeps its steps; one that began is not disturbed."""
    make(store, chats(3), chats(4))

    def answer(prompt: str) -> str:
        put_run(store.root, "new", chats(3))
        return "y"

    monkeypatch.setattr("builtins.input", answer)
    told = command("prune")
    assert told.code == 0 and f"{chats(3).key} stays: it is needed by now." in told.out
    assert store.status(chats(3)).complete and not store.directory(chats(4)).exists()


def test_prune_waits_for_no_run_and_disturbs_none(store: Store, score: Step, command: Command) -> None:
    """A first run has no record yet: its finished steps are needed all the same."""
    make(store, chats(3))
    with shared_use(store.root):
        told = command("prune", "--yes")
        assert told.code == 2 and "A run is at work in" in told.err
        assert command("prune", "--dry-run").code == 0
    assert store.status(chats(3)).complete


def test_interrupted_prune_leaves_no_half_that_counts(
    store: Store, score: Step, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(store, chats(3))

    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", interrupted)
    told = command("prune", "--yes")
    assert told.code == 130 and told.err == "Error: interrupted.\n"
    assert (store.directory(chats(3)) / "examples.jsonl").exists()
    assert store.status(chats(3)).state == "unfinished"
    monkeypatch.undo()
    assert command("prune", "--yes").code == 0
    assert not store.directory(chats(3)).exists()


def test_prune_removes_a_link_and_not_what_it_leads_to(
    store: Store, score: Step, command: Command, tmp_path: Path
) -> None:
    make(store, chats(3))
    place = store.directory(chats(3)).rename(tmp_path / "elsewhere")
    store.directory(chats(3)).symlink_to(place)
    assert store.status(chats(3)).complete
    assert command("prune", "--yes").code == 0
    assert not store.directory(chats(3)).exists() and (place / MANIFEST).exists()


def test_worker_that_waited_for_a_pruned_step_makes_it(store: Store) -> None:
    """Pruned between being frozen and being begun, a step is frozen again by the worker that holds its lock."""
    import shutil

    from safetax.run.worker_process import WorkerProcess

    directory = store.freeze(chats(3))
    worker = WorkerProcess()
    with locked(directory):
        events = worker.do("prepare", [directory])
        assert next(events)["event"] == "waiting"
        shutil.rmtree(directory)
    assert [event["event"] for event in events if event["event"] != "progress"] == ["started", "finished", "done"]
    worker.close()
    assert store.status(chats(3)).complete
    assert json.loads((directory / "step.json").read_text())["title"] == chats(3).title
