"""The generate worker: one engine for all prompt sets, restarts, and nodes that share a queue."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from safetax.evaluation.shared_prompts import SharedPrompts
from safetax.models.checkpoint import MODEL
from safetax.records import Response, read_records
from safetax.run.worker_process import WorkerProcess
from safetax.store.events import Events
from safetax.store.job import StepJob
from safetax.store.manifest import clear, read_json, sha256_of, write_json
from safetax.store.work_loop import work_on
from safetax.workers import generate
from safetax.workers.generate import read_partial


def generate_steps(outputs: Path) -> dict[str, list[Path]]:
    """Return the generate steps by the checkpoint that they ask."""
    by_model: dict[str, list[Path]] = {}
    for path in sorted(outputs.glob("generate/*/step.json")):
        by_model.setdefault(json.loads(path.read_text())["inputs"]["model"], []).append(path.parent)
    return by_model


def test_one_engine_start_serves_all_prompt_sets_of_a_checkpoint(copied_lab: Path) -> None:
    steps = max(generate_steps(copied_lab).values(), key=len)
    assert len(steps) >= 3
    before = {step: sha256_of(step / "responses.jsonl") for step in steps}
    for step in steps:
        clear(step)
    worker = WorkerProcess()
    events = list(worker.do("generate", steps))
    worker.close()
    assert events[-1]["event"] == "done"
    starts = [event for event in events if event["event"] == "engine"]
    assert len(starts) == 1
    assert len(starts[0]["steps"]) == len(steps)
    assert {step: sha256_of(step / "responses.jsonl") for step in steps} == before


def test_a_response_ends_where_the_models_own_settings_say_too(copied_lab: Path) -> None:
    """As models do that were tuned for chats and end a document instead of the turn now and then."""
    step = max(generate_steps(copied_lab).values(), key=len)[0]
    model = copied_lab / json.loads((step / "step.json").read_text())["inputs"]["model"] / MODEL
    before = [response.answer.split() for response in read_records(step / "responses.jsonl", Response)]
    word = next(words[1] for words in before if len(words) > 2)
    from transformers import AutoTokenizer

    settings = read_json(model / "generation_config.json") or {}
    settings["eos_token_id"] = [
        settings["eos_token_id"],
        AutoTokenizer.from_pretrained(model).convert_tokens_to_ids(word),
    ]
    write_json(model / "generation_config.json", settings)
    clear(step)
    worker = WorkerProcess()
    assert [event["event"] for event in worker.do("generate", [step])][-1] == "done"
    worker.close()
    after = read_records(step / "responses.jsonl", Response)
    assert any(word in words for words in before)
    for words, response in zip(before, after, strict=True):
        if word in words and response.thinking_tokens == 0:
            assert response.answer.split() == words[: words.index(word)]
            assert response.end_of_answer == "end"
        assert word not in response.answer.split()


def test_restart_asks_only_for_what_is_missing(copied_lab: Path) -> None:
    step = max(generate_steps(copied_lab).values(), key=len)[0]
    before = (step / "responses.jsonl").read_text()
    responses = read_records(step / "responses.jsonl", Response)
    clear(step)
    sources = StepJob(step, Events(io.StringIO(), as_json=False)).input_digests()
    write_json(step / "scratch" / "inputs.json", sources)
    told = before.splitlines()
    marked = json.loads(told[1])
    marked["answer"] = "kept from before"
    (step / "scratch" / "responses.jsonl").write_text(
        f"{told[0]}\n{json.dumps(marked)}\n{told[2][: len(told[2]) // 2]}"
    )
    assert len(read_partial(step / "scratch")) == 2
    worker = WorkerProcess()
    progress = [event for event in worker.do("generate", [step]) if event["event"] == "progress"]
    worker.close()
    assert progress[0]["done"] == 3  # the first new one is the third
    after = read_records(step / "responses.jsonl", Response)
    assert after[1].answer == "kept from before"
    assert [after[0], *after[2:]] == [responses[0], *responses[2:]]
    manifest = read_json(step / "manifest.json")
    assert manifest is not None and manifest["summary"]["responses"] == len(responses)


def spread(steps: list[Path], nodes: int, batch: int) -> None:
    """Clear the steps and spread them over so many nodes."""
    for step in steps:
        clear(step)
        settings = read_json(step / "runtime.json")
        write_json(step / "runtime.json", {**(settings or {}), "generate_nodes": nodes, "generate_batch": batch})


@pytest.mark.slow
def test_two_nodes_answer_from_one_queue(copied_lab: Path) -> None:
    steps = max(generate_steps(copied_lab).values(), key=len)
    before = {step: sha256_of(step / "responses.jsonl") for step in steps}
    spread(steps, nodes=2, batch=8)
    command = [sys.executable, "-m", "safetax.workers.generate", *map(str, steps)]

    def start(node: str) -> subprocess.Popen[str]:
        return subprocess.Popen(command, env={**os.environ, "NODE_RANK": node}, stdout=subprocess.PIPE, text=True)

    second, first = start("1"), start("0")
    assert first.stdout is not None and second.stdout is not None
    for line in first.stdout:
        if line.startswith("engine"):
            first.send_signal(signal.SIGSTOP)  # so that the second one cannot come too late
            break
    for line in second.stdout:
        if line.startswith("progress"):
            first.send_signal(signal.SIGCONT)
            break
    told, other = first.communicate(timeout=120)[0], second.communicate(timeout=120)[0]
    assert (first.returncode, second.returncode) == (0, 0), told + other
    assert "progress" in told
    assert told.count("finished") == len(steps) and "finished" not in other
    assert {step: sha256_of(step / "responses.jsonl") for step in steps} == before
    assert not any((step / "scratch").exists() for step in steps)


@pytest.mark.slow
def test_what_a_silent_node_took_is_answered_by_the_first(copied_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = max(generate_steps(copied_lab).values(), key=len)[0]
    before = sha256_of(step / "responses.jsonl")
    prompts = [(response.id, response.repeat) for response in read_records(step / "responses.jsonl", Response)]
    spread([step], nodes=2, batch=128)
    begin = SharedPrompts.open

    def begin_late(self: SharedPrompts) -> None:
        begin(self)
        other = SharedPrompts(self.scratch, self.hold, self.nodes)
        assert [other.claim(prompt) for prompt in prompts[:3]] == [True] * 3
        assert other.claim(prompts[0]) and not self.claim(prompts[0])

    monkeypatch.setattr(SharedPrompts, "open", begin_late)
    monkeypatch.setattr(generate, "LEASE_TIMEOUT", 0.5)
    told = io.StringIO()
    assert work_on([step], generate.work, Events(told, as_json=True), together=True) == 0, told.getvalue()
    assert sha256_of(step / "responses.jsonl") == before
    assert [json.loads(line)["event"] for line in told.getvalue().splitlines()].count("engine") == 1
