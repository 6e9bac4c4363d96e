"""transformers' generate: budgets, markers, seeds, batches, and the model's own settings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from safetax.config.schema import Format
from safetax.data.chat import ChatRenderer
from safetax.evaluation.engines import Generated, Markers, Prompt
from safetax.evaluation.engines.hf import Config as HfConfig
from safetax.evaluation.engines.hf import HfEngine
from safetax.evaluation.engines.hf import start as start_hf
from safetax.evaluation.prompting import markers_of, prompt_seed
from safetax.models.checkpoint import MODEL
from tests.support.tiny_engines import RUNTIME, asked, by_hf, loaded_from, markers, set_defaults, several_tokens


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
        if rows and "document" in rows[0]["meta"]:
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
    got = ask(lrm, problems, thinking=1, answer=4)
    assert sorted(got) == list(range(len(problems)))
    for response in got.values():
        assert response.thinking is not None
        assert len(encode(lrm, response.thinking)) == response.thinking_tokens <= 1
        assert len(encode(lrm, response.answer)) == response.answer_tokens <= 4
        if response.end_of_thinking == "budget":
            assert response.thinking_tokens == 1
        if response.end_of_answer == "budget":
            assert response.answer_tokens == 4
    assert any(response.end_of_thinking == "budget" for response in got.values())


def test_forced_answer_goes_on_behind_the_cut_thinking(
    lrm: tuple[Any, Any], problems: list[list[dict[str, str]]]
) -> None:
    """What is answered after a cut is what the model says behind its own first tokens and the closing marker."""
    import torch

    model, tokenizer = lrm
    cut = ask(lrm, problems[:1], thinking=1, answer=5)[0]
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
