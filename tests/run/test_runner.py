"""Running a graph with real worker processes: once each, failures, kills, orphans, isolation."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from safetax.config.runtime import Runtime
from safetax.errors import StepError, UserError
from safetax.run.outcome import RunOutcome
from safetax.run.runner import GraphRunner, trainings_behind
from safetax.run.view import PlainView
from safetax.run.worker_process import WorkerProcess
from safetax.store.locks import is_locked, locked
from safetax.store.manifest import clear, outputs_digest, read_json, write_json
from safetax.store.status import Store
from safetax.store.step import Step, in_order
from tests.support.places import ROOT
from tests.support.tiny_steps import answered, chats, ended, judged, make, prompts, put_responses, python, until

Isolation = Literal["process", "shared"]
SECONDS_LONG = 100_000
"""Pre-training chats that take a second or two to draw."""

PLUG_IN = """
from dataclasses import dataclass

from safetax.records import Example


@dataclass(frozen=True)
class Config:
    kind: str
    name: str


def build(config, inputs):
{body}
    return [Example("a", [{{"role": "user", "content": "hi"}}])]
"""


@dataclass
class Recorder(PlainView):
    """A view that keeps what it is told."""

    notes: list[str] = field(default_factory=list)
    starts: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    on_start: Any = None

    def begin(self, total: int) -> None:
        pass

    def reused(self, step: Step) -> None:
        self.ends.append(f"reused {step.key}")

    def note(self, text: str) -> None:
        self.notes.append(text)

    def started(self, step: Step) -> None:
        self.starts.append(step.key)
        if self.on_start is not None:
            self.on_start(step)

    def progress(self, step: Step, done: float, total: float, unit: str, rate: float | None) -> None:
        pass

    def finished(self, step: Step, seconds: float) -> None:
        self.ends.append(f"finished {step.key}")

    def failed(self, step: Step, message: str) -> None:
        self.failures.append(message)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "outputs")


def run(
    store: Store,
    steps: Sequence[Step],
    isolation: Isolation = "process",
    workers: int = 1,
    view: Recorder | None = None,
    interpreters: dict[str, str] | None = None,
) -> RunOutcome:
    runtime = Runtime(str(store.root), isolation, workers, python=interpreters or {})
    return GraphRunner(store, view or Recorder(), runtime).run(in_order(steps))


def keys(steps: Sequence[Step]) -> set[str]:
    return {step.key for step in steps}


def scored(samples: int = 3, salt: int = 0) -> Step:
    source = prompts(samples)
    return judged(source, answered(source, salt))


def trained(data: Step, epochs: float, model: Step | None = None) -> Step:
    inputs = {"data": data} if model is None else {"data": data, "model": model}
    return Step("train", f"train on {data.title}, {epochs} epochs", {"training": {"epochs": epochs}}, inputs)


def small_graph(store: Store) -> list[Step]:
    """Three score steps over stored responses, and data sets that have yet to be made."""
    scores = [scored(samples, salt) for samples, salt in ((3, 0), (3, 1), (4, 0))]
    for score in scores:
        make(store, score.inputs["prompts"])
        put_responses(store, score.inputs["responses"], ["take the saw and go to the mill .", "i can not help .", "um"])
    return [*scores, chats(3), chats(4), prompts(5, "benign")]


def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Step:
    """A data set from a module of the user's own, found on the Python path."""
    folder = tmp_path / "plug_ins" / "of_mine"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").touch()
    (folder / "rows.py").write_text(PLUG_IN.format(body=body))
    monkeypatch.setenv("PYTHONPATH", str(folder.parent))
    return Step("prepare", "data of mine", {"dataset": {"kind": "of_mine.rows", "name": ""}})


@pytest.mark.parametrize("isolation", ["process", "shared"])
@pytest.mark.parametrize("workers", [1, 2])
def test_graph_runs_once_and_is_then_reused(store: Store, isolation: Isolation, workers: int) -> None:
    targets = small_graph(store)
    view = Recorder()
    outcome = run(store, targets, isolation, workers, view)
    outcome.check()
    assert keys(outcome.executed) == keys(targets)
    assert keys(outcome.reused) == keys(in_order(targets)) - keys(targets)
    assert sorted(view.starts) == sorted(keys(targets)), "each is started once, under its own name"
    again = run(store, targets, isolation, workers)
    assert again.executed == [] and keys(again.reused) == keys(in_order(targets))


def test_process_and_shared_isolation_make_the_same(tmp_path: Path) -> None:
    digests = []
    for isolation in ("process", "shared"):
        store = Store(tmp_path / isolation)
        targets = small_graph(store)
        run(store, targets, isolation, 2).check()
        digests.append({key: outputs_digest(store.manifest(key) or {}) for key in keys(targets)})
    assert digests[0] == digests[1]


RUN_HERE = """
import json, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup, or in the background, they would be ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from safetax.store.status import Store
from tests.run.test_runner import Recorder, run, small_graph
from tests.support.tiny_steps import chats
store = Store(Path(sys.argv[1]))
targets = [chats(int(text), "pretraining") for text in sys.argv[2:]]
view = Recorder(on_start=lambda step: print("started", step.key, flush=True))
print("ready", flush=True)
sys.stdin.readline()
outcome = run(store, targets, "process", 2, view)
outcome.check()
print(json.dumps({"executed": [s.key for s in outcome.executed], "reused": [s.key for s in outcome.reused]}))
"""


def start_run(store: Store, *samples: int) -> subprocess.Popen[str]:
    """Run a graph of data sets in a process of its own, which waits for a line before it begins."""
    process = python(RUN_HERE, store.root, *samples)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def test_two_runs_at_once_make_each_step_once(store: Store) -> None:
    samples = [8000, 8100, 8200, 8300]
    processes = [start_run(store, *samples), start_run(store, *reversed(samples))]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    outcomes = [json.loads(out.splitlines()[-1]) for out, _ in told]
    executed = [key for outcome in outcomes for key in outcome["executed"]]
    expected = keys([chats(count, "pretraining") for count in samples])
    assert sorted(executed) == sorted(expected), "none twice"
    for outcome in outcomes:
        assert {*outcome["executed"], *outcome["reused"]} == expected
    for key in expected:
        assert store.status(key, full=True).complete


@pytest.mark.parametrize("isolation", ["process", "shared"])
def test_failed_step_fails_its_dependants_alone(store: Store, isolation: Isolation) -> None:
    """The one that fails stands first in a request with others of its kind, which are done all the same."""
    bad = prompts(5000)
    dependant = judged(bad, answered(bad))
    good = [prompts(4), prompts(5, "benign"), chats(3)]
    view = Recorder()
    outcome = run(store, [dependant, *good], isolation, 1, view)
    assert keys(outcome.executed) == keys(good)
    assert outcome.failed.keys() == {bad.key}
    assert outcome.skipped.keys() == keys([dependant.inputs["responses"], dependant])
    log = store.directory(bad) / "worker.log"
    message = outcome.failed[bad.key]
    assert message.startswith(f"{bad.title} failed: prompts lab_prompts: samples is 5000")
    assert message.endswith(f"[{bad.key}]\n  log: {log}")
    assert "samples is 5000" in log.read_text()
    assert len(view.failures) == 1
    assert sorted(view.notes) == sorted(
        f"not done, since an input failed: {step.title}" for step in (dependant.inputs["responses"], dependant)
    )
    with pytest.raises(UserError, match="run the same command again"):
        outcome.check()


def test_nothing_is_trained_for_a_run_whose_data_cannot_be_made(store: Store) -> None:
    """In a sweep the other runs may want the model; a step that trains nothing is done all the same."""
    data, good = chats(4), prompts(4)
    base = trained(data, 1)
    aligned = trained(prompts(5000), 1, base)
    view = Recorder()
    outcome = GraphRunner(store, view, Runtime(str(store.root))).run(in_order([aligned, good]), one_run=True)
    assert keys(outcome.executed) == keys([data, good])
    assert outcome.failed.keys() == {aligned.inputs["data"].key}
    assert outcome.skipped.keys() == keys([base, aligned])
    assert f"not done, since data of the run failed: {base.title}" in view.notes


def test_in_a_sweep_what_a_run_with_good_data_needs_is_done(store: Store) -> None:
    """What is of runs alone whose data cannot be made is not done; the data of all runs are, so that all is told."""
    shared, alone = scored(3), scored(4)
    for score in (shared, alone):
        make(store, score.inputs["prompts"])
        put_responses(store, score.inputs["responses"], ["take the saw and go to the mill ."] * 4)
    bad, good = prompts(5000), chats(3)
    runs = [keys(in_order([bad, shared, alone])), keys(in_order([good, shared]))]
    steps = in_order([bad, good, shared, alone])
    outcome = GraphRunner(store, Recorder(), Runtime(str(store.root))).run(steps, runs=runs)
    assert outcome.failed.keys() == {bad.key}
    assert keys(outcome.executed) == keys([good, shared])
    assert outcome.skipped.keys() == keys([alone])


@pytest.mark.parametrize("workers", [1, 2])
def test_data_that_no_model_makes_come_before_all_else(store: Store, workers: int) -> None:
    score, late = scored(3), chats(5)
    make(store, score.inputs["prompts"])
    put_responses(store, score.inputs["responses"], ["um"] * 3)
    view = Recorder()
    run(store, [score, late, chats(3), prompts(5, "benign")], workers=workers, view=view)
    ends = [line.removeprefix("finished ") for line in view.ends if not line.startswith("reused")]
    assert view.starts[-1] == score.key, "it starts last"
    assert ends[-1] == score.key and len(ends) == 4


def test_failure_that_is_no_user_mistake_has_its_traceback_in_the_log(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "    import safetax.workers.prepare as own; own.write_records = lambda *_: 1 / 0"
    bad = plug_in(tmp_path, monkeypatch, body)
    outcome = run(store, [bad, chats(3), prompts(5000)])
    assert "ZeroDivisionError: division by zero" in outcome.failed[bad.key]
    log = (store.directory(bad) / "worker.log").read_text()
    assert "Traceback" in log and "workers/prepare.py" in log
    assert keys(outcome.executed) == {chats(3).key}
    with pytest.raises(StepError):  # not all failures are for the user to mend
        outcome.check()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("    import os; os._exit(7)", "ended with code 7"),
        ("    raise SystemExit('of mine')", "SystemExit: of mine"),
        ("    import os; os.kill(os.getpid(), 11)", "ended by signal 11, Segmentation fault"),
    ],
)
@pytest.mark.parametrize("isolation", ["process", "shared"])
def test_worker_that_goes_away_is_told_of(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, told: str, isolation: Isolation
) -> None:
    bad = plug_in(tmp_path, monkeypatch, body)
    outcome = run(store, [bad, chats(3)], isolation)
    assert told in outcome.failed[bad.key]
    assert keys(outcome.executed) == {chats(3).key}
    assert outcome.user_error == ("SystemExit" in told), "an exception of a plug-in's own is for the user to mend"


def test_full_disk_is_told_even_where_the_log_is_on_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file of the worker may grow any more: neither outputs nor log; the process is not used again."""
    limit = (
        "    import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n    print('x' * 100000, flush=True)"
    )
    bad = plug_in(tmp_path, monkeypatch, limit)
    outcome = run(store, [bad, chats(3)], "shared")
    assert "OSError: [Errno 27] File too large" in outcome.failed[bad.key]
    assert keys(outcome.executed) == {chats(3).key}
    assert not is_locked(store.directory(bad))


def test_prints_of_any_size_and_characters_go_to_the_log(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (
        "    import os, subprocess, sys\n"
        "    print('grüße 漢字 \\udc80')\n"
        "    print('fehler \\udc80 ü', file=sys.stderr)\n"
        "    os.write(1, b'\\xff\\xfe raw \\n')\n"
        "    for _ in range(300): print('x' * 10000)\n"
        "    subprocess.run(['echo', 'of a child'])"
    )
    noisy = plug_in(tmp_path, monkeypatch, body)
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONUTF8", "0")
    monkeypatch.setenv("PYTHONCOERCECLOCALE", "0")
    run(store, [noisy]).check()
    log = (store.directory(noisy) / "worker.log").read_bytes()
    assert "grüße 漢字 \\udc80".encode() in log
    assert b"\xff\xfe raw" in log and b"of a child" in log
    assert len(log) > 3_000_000


def test_killed_worker_is_told_of_and_the_rerun_completes(store: Store) -> None:
    long, short = chats(SECONDS_LONG, "pretraining"), chats(3)
    view = Recorder()
    runner = GraphRunner(store, view, Runtime(str(store.root)))

    def strike(step: Step) -> None:
        worker = runner.slots[0].worker
        if step is long and worker is not None:
            os.kill(worker.process.pid, signal.SIGKILL)

    view.on_start = strike
    outcome = runner.run([long, short])
    assert "ended by signal 9, Killed, such as for want of memory" in outcome.failed[long.key]
    assert keys(outcome.executed) == {short.key}, "what stood in the same request and was not begun is done"
    assert store.status(long).state == "unfinished"
    assert not is_locked(store.directory(long))
    again = run(store, [long, short])
    again.check()
    assert keys(again.executed) == {long.key} and keys(again.reused) == {short.key}


def test_dependants_of_a_step_that_was_not_done_wait_for_nothing(store: Store) -> None:
    """A generate step whose prompts failed holds back no other prompts of the same checkpoint."""
    bad, good = prompts(5000), prompts(4)
    outcome = run(store, [judged(bad, answered(bad)), judged(good, answered(good))], workers=2)
    # No engine here: the worker fails on the identity, which is enough to see that it was asked.
    assert answered(good).key in outcome.failed and bad.key in outcome.failed
    assert outcome.skipped.keys() == keys([answered(bad), judged(bad, answered(bad)), judged(good, answered(good))])


def started_worker(process: subprocess.Popen[str]) -> tuple[str, int]:
    """Let a run begin, wait until a step is at work and return its key and its worker's process."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    key = process.stdout.readline().split()[1]
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return key, int(children[0])


@pytest.mark.parametrize("deadly", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_worker_ends_with_its_parent(store: Store, deadly: signal.Signals) -> None:
    process = start_run(store, 2 * SECONDS_LONG)
    key, worker = started_worker(process)
    assert not ended(worker) and is_locked(store.directory(key))
    process.send_signal(deadly)
    until(lambda: ended(worker))
    until(lambda: not is_locked(store.directory(key)))
    assert process.wait(timeout=10) != 0
    assert store.status(key).state == "unfinished"


def test_worker_does_nothing_for_a_parent_that_is_gone_at_once(store: Store) -> None:
    """There is no gap between taking a request and being at work in which the parent's end goes unnoticed."""
    directory = store.freeze(chats(3))
    request = json.dumps({"kind": "prepare", "directories": [str(directory)]})
    for _ in range(5):
        worker = subprocess.Popen(
            [sys.executable, "-m", "safetax.workers.serve"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        worker.communicate(request + "\n", timeout=30)
        assert worker.returncode == -signal.SIGKILL
    assert not store.status(chats(3)).complete


def test_idle_worker_ends_with_its_parent_in_peace() -> None:
    worker = WorkerProcess()
    worker.close()
    assert worker.process.returncode == 0


def test_request_that_was_cut_ends_the_worker() -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "safetax.workers.serve"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    worker.communicate('{"kind": "prep', timeout=30)
    assert worker.returncode == 0


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Any]:
    """Makes an interpreter out of lines of shell."""

    def make_script(lines: str) -> str:
        path = tmp_path / "interpreter"
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)
        return str(path)

    yield make_script


def test_event_that_was_cut_is_the_workers_end(store: Store, script: Any) -> None:
    interpreter = script('read request; printf \'{"event": "star\'; exit 4')
    outcome = run(store, [chats(3)], interpreters={"prepare": interpreter})
    assert "ended with code 4" in outcome.failed[chats(3).key]


def test_interpreter_without_safetax_leaves_its_words_in_the_log(store: Store, script: Any) -> None:
    interpreter = script("echo No module named safetax >&2; exit 1")
    outcome = run(store, [chats(3)], interpreters={"prepare": interpreter})
    assert "ended with code 1" in outcome.failed[chats(3).key]
    assert "No module named safetax" in (store.directory(chats(3)) / "worker.log").read_text()


def test_interpreter_that_is_none_is_the_users_mistake_and_stops_nothing_else(store: Store) -> None:
    score = scored()
    make(store, score.inputs["prompts"])
    put_responses(store, score.inputs["responses"], ["um"])
    outcome = run(store, [chats(3), score], interpreters={"prepare": "/nowhere/python"})
    assert keys(outcome.executed) == {score.key}
    assert outcome.user_error
    assert "runtime.python: /nowhere/python cannot be started" in outcome.failed[chats(3).key]


def test_step_folder_that_cannot_be_made_is_told(store: Store) -> None:
    store.root.mkdir()
    (store.root / "prepare").write_text("in the way")
    outcome = run(store, [chats(3)])
    assert f"{store.root / 'prepare'}: a file stands in the place of something else" in outcome.failed[chats(3).key]


def test_damaged_step_is_made_again_and_said(store: Store) -> None:
    score = scored()
    make(store, score.inputs["prompts"])
    put_responses(store, score.inputs["responses"], ["um"])
    run(store, [score]).check()
    os.truncate(store.directory(score) / "verdicts.jsonl", 5)
    view = Recorder()
    outcome = run(store, [score], view=view)
    assert keys(outcome.executed) == {score.key}
    assert view.notes[0].startswith(f"{score.title} ({score.key}) is made again: verdicts.jsonl has 5 bytes")
    log = (store.directory(score) / "worker.log").read_text()
    assert log.count("--- ") == 2, "the log of the run that made it again is where it is looked for"


def test_waiting_for_another_is_said_and_ends_with_control_c(store: Store) -> None:
    view = Recorder()
    runner = GraphRunner(store, view, Runtime(str(store.root)))
    workers = []

    def interrupt(text: str) -> None:
        view.notes.append(text)
        workers.append(runner.slots[0].worker)
        raise KeyboardInterrupt

    view.note = interrupt  # type: ignore[method-assign]
    step = chats(3)
    with locked(store.directory(step)):
        with pytest.raises(KeyboardInterrupt):
            runner.run([step])
        assert workers[0].process.returncode == -signal.SIGKILL
    assert view.notes == [f"waiting for {step.title}: process {os.getpid()} on {os.uname().nodename} is at it"]
    assert not is_locked(store.directory(step))


def test_no_process_or_file_is_left_behind(store: Store) -> None:
    """A process for each request: after many, there are no zombies, and no more open files than before."""

    def children() -> str:
        return Path(f"/proc/self/task/{os.getpid()}/children").read_text()

    def files() -> int:
        gc.collect()  # what earlier tests left
        return len(list(Path("/proc/self/fd").iterdir()))

    run(store, [chats(2)])
    before = files(), children()
    for count in range(3, 9):
        run(store, [chats(count), prompts(5000)], workers=2)
    opened, started = before
    assert files() <= opened and children() == started


def test_a_kill_takes_what_the_worker_started(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "child"
    body = (
        "    import os, pathlib, subprocess\n"
        f"    pathlib.Path({str(told)!r}).write_text(str(subprocess.Popen(['sleep', '300']).pid))\n"
        "    os.kill(os.getpid(), 9)"
    )
    outcome = run(store, [plug_in(tmp_path, monkeypatch, body)])
    assert len(outcome.failed) == 1
    child = int(told.read_text())
    until(lambda: ended(child))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ranks end with their parent by Linux's own means")
def test_ranks_end_with_a_killed_worker(copied_lab: Path) -> None:
    """Nobody is left to end them: the parent hears nothing, and torchrun keeps its ranks in sessions of their own."""
    step = next(path.parent for path in copied_lab.glob("train/*/step.json") if "align" in path.read_text())
    clear(step)
    runtime = read_json(step / "runtime.json") or {}
    write_json(step / "runtime.json", {**runtime, "devices": 2, "zero": 0})
    worker = WorkerProcess()
    events = worker.do("train", [step])
    assert next(events)["event"] == "started"

    def ranks() -> list[int]:
        below = descendants(worker.process.pid)
        return below if len(below) == 3 and is_locked(step) else []  # torchrun and two ranks

    below = until(ranks)
    os.kill(worker.process.pid, signal.SIGKILL)
    until(lambda: all(ended(pid) for pid in below))
    assert not is_locked(step) and not (step / "manifest.json").exists()
    assert [event["event"] for event in events][-1] == "died"
    worker.close()


def descendants(pid: int) -> list[int]:
    """Return the processes below a process; those that go away meanwhile may be missing."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for child in map(int, path.read_text().split()):
                found += [child, *descendants(child)]
    return found


def test_trainings_that_others_wait_for_go_first_and_then_the_longest_where_workers_share_them(store: Store) -> None:
    few, many = chats(4), chats(40)
    make(store, few, many)
    short, long, longer = trained(few, 1.0), trained(few, 5.0), trained(many, 1.0)
    first = trained(few, 0.5)
    steps = in_order([short, long, longer, trained(few, 2.0, model=first)])

    def order(workers: int) -> list[Step]:
        runner = GraphRunner(store, Recorder(), Runtime(str(store.root), workers=workers))
        runner.trainings_behind = trainings_behind(steps)
        return sorted([short, long, longer, first], key=runner._urgency)

    assert order(workers=2) == [first, longer, long, short]
    assert order(workers=1) == [short, long, longer, first]  # the plan's own
