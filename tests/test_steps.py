"""``python -m safetax.steps``: what it says of steps, what it finds damaged, and what it removes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from safetax import steps
from safetax.run.runner import GraphRunner
from safetax.store.locks import lock_path, locked, shared_use
from safetax.store.manifest import MANIFEST, read_json, write_json
from safetax.store.status import Store
from safetax.store.step import Step
from tests.support.tiny_steps import (
    ROOT,
    answered,
    chats,
    judged,
    kill,
    make,
    prompts,
    put_manifest,
    put_responses,
    put_run,
    python,
)


@dataclass
class Told:
    code: int
    out: str
    err: str


Command = Callable[..., Told]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "outputs")


@pytest.fixture
def command(store: Store, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in this process."""

    def call(*arguments: str) -> Told:
        capsys.readouterr()
        try:
            code = steps.main([*arguments, "--outputs", str(store.root)])
        except SystemExit as error:
            code = int(error.code or 0)
        captured = capsys.readouterr()
        return Told(code, captured.out, captured.err)

    return call


def apart(store: Store, *arguments: str, answer: str | None = "") -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own; no answer: its standard input is closed."""
    return subprocess.run(
        [sys.executable, "-m", "safetax.steps", *arguments, "--outputs", str(store.root)],
        cwd=ROOT,
        input=answer,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def score(store: Store) -> Step:
    """Three finished steps that are one run's, ``kept``: prompts, responses, verdicts."""
    step = judged(prompts(), answered(prompts()))
    make(store, step.inputs["prompts"])
    put_responses(store, step.inputs["responses"], ["um", "i can not help ."])
    directory = store.freeze(step)
    (directory / "verdicts.jsonl").write_text("{}\n")
    put_manifest(store, step)
    put_run(store.root, "kept", *step.inputs.values(), step)
    return step


def all_files(store: Store) -> dict[str, bytes]:
    return {
        str(path.relative_to(store.root)): path.read_bytes()
        for path in sorted(store.root.rglob("*"))
        if path.is_file() and path.parent.name != "locks"
    }


def test_no_torch_is_imported() -> None:
    code = "import sys; from safetax import steps; steps.parser(); import rich.table; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


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


def test_key_may_be_written_in_many_ways(store: Store, score: Step, command: Command) -> None:
    folder = str(store.directory(score))
    for text in (score.key, score.fingerprint, f"score/{score.fingerprint[:4]}", folder, folder + "/", "score/"):
        assert score.title in command("show", text).out


def test_mistakes_are_one_line_with_code_2(store: Store, score: Step, command: Command, tmp_path: Path) -> None:
    make(store, *(chats(count) for count in range(1, 8)))
    wrong = score.key[:-1] + ("0" if score.key[-1] != "0" else "1")
    for arguments, words in [
        (["show", wrong], f"{wrong}: there is no such step in {store.root}. Did you mean {score.key}?"),
        (["show", "prepare/"], "8 steps begin so (prepare/"),
        (["verify", "nonsense"], "there is no such step"),
        (["list", "--kind", "trains"], "invalid choice: 'trains'"),
        (["shwo"], "invalid choice: 'shwo'"),
        (["show"], "the following arguments are required: KEY"),
        (["prune", "--drop-run", "kepd"], "run kepd: there is no such run. Did you mean kept? Runs here: kept."),
        (["prune", "--drop-run", "kept", "--keep-run", "kept"], "not allowed with"),
        (["list", "--outputs", str(tmp_path / "nowhere")], "there is no such folder"),
    ]:
        told = steps_main(arguments) if "--outputs" in arguments else command(*arguments)
        if isinstance(told, Told):
            assert told.code == 2 and told.out == ""
            assert words in told.err and told.err.count("\n") == 1
        else:
            assert told == 2


def steps_main(arguments: list[str]) -> int:
    return steps.main(arguments)


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
    write_json(path, {**manifest, "identity": {"judge": {"kind": "lab", "world_seed": 1}}})
    told = command("verify", score.key)
    assert told.code == 1 and "its manifest was changed" in told.out
    write_json(path, {**manifest, "fingerprint": "0" * 12})
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


HOLD = """
import sys
from pathlib import Path
from safetax.store.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


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

    monkeypatch.setattr("safetax.run.prune.shutil.rmtree", interrupted)
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
