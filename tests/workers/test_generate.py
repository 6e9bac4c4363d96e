"""The generate worker and the hf engine: budgets, markers, seeds, batches, restarts, one engine for all prompt sets."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from safetax.config.schema import Format
from safetax.data.chat import ChatRenderer
from safetax.evaluation.engines import Generated, Markers, Prompt
from safetax.evaluation.engines.hf import HfEngine
from safetax.evaluation.prompting import markers_of, prompt_seed
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

TAGS = Format("think_tags", "<think>", "</think>", force_answer="</think>")


@pytest.fixture(scope="module")
def lrm(quick_lab: Path) -> tuple[Any, Any]:
    """Model and tokenizer of the quick lab's LRM."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (step,) = [p.parent for p in quick_lab.glob("train/*/step.json") if "reasoning stage" in p.read_text()]
    return AutoModelForCausalLM.from_pretrained(step / MODEL), AutoTokenizer.from_pretrained(step / MODEL)


@pytest.fixture(scope="module")
def problems(quick_lab: Path) -> list[list[dict[str, str]]]:
    for path in quick_lab.glob("prepare/*/examples.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        if "document" in rows[0]["meta"]:
            return [row["messages"] for row in rows]
    raise AssertionError("the quick lab has no reasoning problems")


def ask(
    lrm: tuple[Any, Any],
    problems: list[list[dict[str, str]]],
    markup: Format = TAGS,
    batch: int = 8,
    thinking: int | None = 24,
    answer: int = 8,
    temperature: float = 0.0,
    top_p: float = 1.0,
) -> dict[int, Generated]:
    model, tokenizer = lrm
    renderer = ChatRenderer(tokenizer, markup)
    prompts = [
        Prompt(
            renderer.prompt(messages, thinking is not None),
            thinking,
            answer,
            temperature,
            top_p,
            prompt_seed(7, str(index), 0),
        )
        for index, messages in enumerate(problems)
    ]
    return dict(HfEngine(model, tokenizer, batch).respond(prompts, markers_of(renderer)))


def encode(lrm: tuple[Any, Any], text: str | None) -> list[int]:
    return lrm[1].encode(text or "", add_special_tokens=False)


def test_greedy_equals_plain_generate(lrm: tuple[Any, Any], problems: list[list[dict[str, str]]]) -> None:
    import torch

    model, tokenizer = lrm
    renderer = ChatRenderer(tokenizer, TAGS)
    got = ask(lrm, problems[:6], thinking=40, answer=40)
    for index, messages in enumerate(problems[:6]):
        prompt = renderer.prompt(messages)
        with torch.inference_mode():
            plain = model.generate(
                torch.tensor([prompt]), do_sample=False, max_new_tokens=40, pad_token_id=tokenizer.pad_token_id
            )[0, len(prompt) :].tolist()
        whole = encode(lrm, got[index].thinking)
        assert len(whole) == got[index].thinking_tokens
        assert whole == plain[: len(whole)]
        if got[index].end_of_thinking == "closed":
            whole += encode(lrm, got[index].transition + got[index].answer)
            assert whole[: len(plain)] == plain[: len(whole)]
    assert any(response.end_of_thinking == "closed" for response in got.values())


def test_budgets_hold_and_say_how_each_part_ended(lrm: tuple[Any, Any], problems: list[list[dict[str, str]]]) -> None:
    got = ask(lrm, problems, thinking=3, answer=4)
    assert sorted(got) == list(range(len(problems)))
    for response in got.values():
        assert response.thinking is not None
        assert len(encode(lrm, response.thinking)) == response.thinking_tokens <= 3
        assert len(encode(lrm, response.answer)) == response.answer_tokens <= 4
        if response.end_of_thinking == "budget":
            assert response.thinking_tokens == 3
        if response.end_of_answer == "budget":
            assert response.answer_tokens == 4
    assert any(response.end_of_thinking == "budget" for response in got.values())


def test_forced_answer_goes_on_behind_the_cut_thinking(
    lrm: tuple[Any, Any], problems: list[list[dict[str, str]]]
) -> None:
    """What is answered after a cut is what the model says behind its own first tokens and the closing marker."""
    import torch

    model, tokenizer = lrm
    cut = ask(lrm, problems[:1], thinking=2, answer=5)[0]
    assert cut.end_of_thinking == "budget" and cut.thinking is not None
    assert cut.transition == "</think>"
    prompt = [*ChatRenderer(tokenizer, TAGS).prompt(problems[0]), *encode(lrm, cut.thinking + cut.transition)]
    with torch.inference_mode():
        plain = model.generate(
            torch.tensor([prompt]), do_sample=False, max_new_tokens=5, pad_token_id=tokenizer.pad_token_id
        )[0, len(prompt) :].tolist()
    assert plain[: cut.answer_tokens] == encode(lrm, cut.answer)


def test_suppressed_thinking_answers_at_once(lrm: tuple[Any, Any], problems: list[list[dict[str, str]]]) -> None:
    got = ask(lrm, problems[:4], thinking=None, answer=6)
    assert all(response.thinking is None and response.answer_tokens <= 6 for response in got.values())
    renderer = ChatRenderer(lrm[1], TAGS)
    assert renderer.decode(renderer.prompt(problems[0], thinking=False)).rstrip().endswith("</think>")


def test_sampling_depends_on_the_seed_of_the_prompt_alone(
    lrm: tuple[Any, Any], problems: list[list[dict[str, str]]]
) -> None:
    one = ask(lrm, problems, batch=3, temperature=1.0)
    other = ask(lrm, problems, batch=64, temperature=1.0)
    assert {index: response.thinking for index, response in one.items()} == {
        index: response.thinking for index, response in other.items()
    }
    same_prompt = ask(lrm, [problems[0]] * 6, temperature=1.0)
    assert len({response.thinking for response in same_prompt.values()}) > 1, "every row the same draw"


def test_top_p_of_nearly_nothing_is_greedy(lrm: tuple[Any, Any], problems: list[list[dict[str, str]]]) -> None:
    assert ask(lrm, problems[:5], temperature=1.0, top_p=1e-9) == ask(lrm, problems[:5])


class CountedPasses(HfEngine):
    """Counts the rows of each pass; all else is the engine's own."""

    passes: list[int]

    def _generate(self, rows: Any, markers: Markers) -> list[list[int]]:
        self.passes.append(len(rows))
        return super()._generate(rows, markers)


def counted(lrm: tuple[Any, Any], prompts: list[Prompt], markers: Markers) -> tuple[dict[int, Generated], list[int]]:
    engine = CountedPasses(*lrm, batch=8)
    engine.passes = []
    return dict(engine.respond(prompts, markers)), engine.passes


def test_one_pass_serves_thinking_and_answer_where_one_token_parts_them(
    lrm: tuple[Any, Any], problems: list[list[dict[str, str]]]
) -> None:
    renderer = ChatRenderer(lrm[1], TAGS)
    prompts = [Prompt(renderer.prompt(messages), 60, 20, 0.0, 1.0, 0) for messages in problems[:6]]
    got, passes = counted(lrm, prompts, markers_of(renderer))
    cut = sum(response.end_of_thinking == "budget" for response in got.values())
    assert cut < len(got)
    assert passes == [6, cut] if cut else passes == [6]


def test_marker_of_several_tokens_takes_a_second_pass(
    lrm: tuple[Any, Any], problems: list[list[dict[str, str]]]
) -> None:
    """With the same model, closing by ``</think>`` alone or by it and what follows must agree on the thinking."""
    tokenizer = lrm[1]
    renderer = ChatRenderer(tokenizer, TAGS)
    plain = ask(lrm, problems[:6], thinking=60, answer=20)
    markers = markers_of(renderer)
    seen = 0
    for index, response in plain.items():
        answer = encode(lrm, response.answer)
        if response.end_of_thinking != "closed" or not answer or not response.thinking:
            continue
        marker = tokenizer.decode([*encode(lrm, "</think>"), answer[0]])
        prompt = Prompt(renderer.prompt(problems[index]), 60, 20, 0.0, 1.0, 0)
        got, passes = counted(lrm, [prompt], Markers(marker, marker, marker, markers.end_tokens))
        assert passes == [1, 1]
        assert got[0].end_of_thinking == "closed"
        assert got[0].thinking == response.thinking
        assert got[0].thinking_tokens == response.thinking_tokens
        assert encode(lrm, got[0].answer)[: len(answer) - 1] == answer[1:]
        seen += 1
    assert seen


def test_rows_of_one_batch_may_have_different_budgets_left(
    lrm: tuple[Any, Any], problems: list[list[dict[str, str]]]
) -> None:
    """As behind ends of thinking that were ignored: together they give what each gives alone."""
    renderer = ChatRenderer(lrm[1], TAGS)
    word = next(iter(renderer.decode(renderer.prompt(problems[0])).split()[-3:-2]), "take")
    prompts = [
        Prompt(renderer.prompt(messages), 60 + index, 12, 0.0, 1.0, 0, ignore_end=2, go_on=word)
        for index, messages in enumerate(problems[:6])
    ]
    markers = markers_of(renderer)
    together, passes = counted(lrm, prompts, markers)
    assert len(passes) <= 5, "at most three of thinking and two of answers"
    for index, prompt in enumerate(prompts):
        alone, _ = counted(lrm, [prompt], markers)
        assert alone[0] == together[index]
        assert alone[0].thinking_tokens <= 60 + index
    plain = ask(lrm, problems[:6], thinking=60, answer=12)
    longer = [i for i in plain if together[i].thinking_tokens > plain[i].thinking_tokens]
    assert longer, "no end of thinking was ignored"
    for index in longer:
        assert str(together[index].thinking).startswith(str(plain[index].thinking))


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
