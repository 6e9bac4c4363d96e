"""The lab world: facts, test sets kept out of training, recipes and tokenizer."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from safetax.data.datasets import DatasetContext, direct_refusal, lab_chats, lab_prompts, safechain, self_generated
from safetax.data.lab import words
from safetax.data.lab.chats import PARTS, Mixture, messages
from safetax.data.lab.tasks import reasoning_documents
from safetax.data.lab.tokenizer import build_tokenizer
from safetax.data.lab.world import TEST_PROBLEMS, TEST_REQUESTS, Problem, Request, world
from safetax.data.sources import lab as lab_rows
from safetax.errors import UserError
from safetax.records import Example, Response, Verdict, write_records
from tests.support.places import ROOT
from tests.support.prepared import prepared

NONE: Any = None
"""Stands for a component that is not looked at."""
SEEDS = (0, 1, 7)
SIZES: dict[Mixture, int] = {
    "pretraining": 18000,
    "reasoning": 14000,
    "retained": 2000,
    "benign": 1000,
}


def chats(mixture: Mixture, world_seed: int, seed: int, samples: int | None = None) -> list[Example]:
    config = lab_chats.Config("lab_chats", mixture, mixture, samples or SIZES[mixture], world_seed, seed)
    return lab_chats.build(config, DatasetContext())


def rows(table: str, world_seed: int, seed: int, samples: int = 1000) -> lab_rows.Config:
    return lab_rows.Config("lab", table, samples, world_seed, seed)  # pyright: ignore[reportArgumentType]


def prompts(split: str, world_seed: int, samples: int = 200, seed: int = 0, system: str | None = None) -> list[Example]:
    config = lab_prompts.Config("lab_prompts", split, split, samples, world_seed, seed, system)  # pyright: ignore[reportArgumentType]
    return lab_prompts.build(config, DatasetContext())


def alignment_data(world_seed: int, seed: int) -> dict[str, list[Example]]:
    refusals = direct_refusal.Config(kind="direct_refusal", name="d", rows=rows("direct_refusal", world_seed, seed))
    chains = safechain.Config(kind="safechain", name="s", rows=rows("safechain", world_seed, seed))
    return {
        "direct_refusal": direct_refusal.build(refusals, DatasetContext()),
        "safechain": safechain.build(chains, DatasetContext()),
        "benign": chats("benign", world_seed, seed),
        "retained": chats("retained", world_seed, seed),
        "harmful_training": prompts("harmful_training", world_seed, 600, seed, words.SAFE_SYSTEM_PROMPT),
    }


def user_turn(example: Example) -> str:
    return next(message["content"] for message in example.messages if message["role"] == "user")


@pytest.mark.parametrize("seed", SEEDS)
def test_no_test_item_stands_in_any_training_set(seed: int) -> None:
    facts = world(seed)
    tests = {problem.text for problem in facts.test_problems}
    tests |= {request.text for request in (*facts.test_harmful, *facts.test_benign)}
    assert len(tests) == TEST_PROBLEMS + 2 * TEST_REQUESTS
    learnt: tuple[Mixture, ...] = ("pretraining", "reasoning")
    training: dict[str, list[Example]] = {mixture: chats(mixture, seed, seed) for mixture in learnt}
    for name, examples in (training | alignment_data(seed, seed + 1)).items():
        assert not tests & {user_turn(example) for example in examples}, name


@pytest.mark.parametrize("seed", SEEDS)
def test_the_tests_served_are_the_tests_kept_apart(seed: int) -> None:
    facts = world(seed)
    assert [user_turn(row) for row in prompts("harmful", seed)] == [request.text for request in facts.test_harmful]
    assert [user_turn(row) for row in prompts("benign", seed)] == [request.text for request in facts.test_benign]
    documents = reasoning_documents(world_seed=seed, samples=200)["test"]
    assert list(documents["question"]) == [problem.text for problem in facts.test_problems[:200]]


@pytest.mark.parametrize("seed", SEEDS)
def test_alignment_data_never_names_a_held_out_object(seed: int) -> None:
    held_out = world(seed).held_out
    assert len(held_out) == 8
    assert held_out < set(words.PROTECTED_OBJECTS)
    for name, examples in alignment_data(seed, seed).items():
        for example in examples:
            text = " ".join([user_turn(example), example.thinking or "", example.answer or ""])
            assert not held_out & set(re.findall(r"\w+", text.lower())), (name, text)


@pytest.mark.parametrize("name", ["replay", "safepath", "with_benign", "structure", "star1", "r1_act"])
def test_nor_do_the_data_of_any_method(name: str, tmp_path: Path) -> None:
    found, _ = prepared(tmp_path, f"dataset={name}")
    facts = world(0)
    harmful = {request.text for request in facts.harmful_requests}
    assert len(found) >= 800
    for example in found:
        text = " ".join([user_turn(example), example.thinking or "", example.answer or ""])
        assert not facts.held_out & set(re.findall(r"\w+", text.lower())), text
        helped = user_turn(example) in harmful and "take the" in (example.answer or "")
        assert not helped, "safety data help with no harm"


def test_the_test_sets_are_mixed_as_they_say_in_every_prefix() -> None:
    facts = world(3)
    for samples in (50, 200):
        harmful, benign = facts.test_harmful[:samples], facts.test_benign[:samples]
        assert all(request.harmful for request in harmful)
        assert not any(request.harmful for request in benign)
        assert sum(request.object in facts.held_out for request in harmful) == samples // 2
        assert sum(request.verb in words.HARMFUL_VERBS for request in benign) == samples // 2
        assert sum(request.object in words.PROTECTED_OBJECTS for request in benign) == samples // 2


def test_harm_needs_both_a_harmful_verb_and_a_protected_object() -> None:
    assert Request("burn", "mill", 0).harmful
    assert not Request("paint", "mill", 0).harmful
    assert not Request("burn", "toast", 0).harmful


def test_problems_follow_the_tables_of_their_world() -> None:
    problem = Problem(7, ("double", "flip", "triple"), (4, 5, 0))
    assert problem.text == "start 7 double flip triple . result ?"
    assert problem.trace == "7 double 4 flip 5 triple 0"
    assert problem.answer == "0"
    for seed in SEEDS:
        facts = world(seed)
        for operation in (*words.OPERATIONS, *words.RARE_OPERATIONS):
            assert sorted(facts.tables[operation]) == list(range(len(words.NUMBERS))), "no number comes of two"
        for problem in facts.test_problems:
            value = problem.start
            for operation, after in zip(problem.operations, problem.values, strict=True):
                value = facts.tables[operation][value]
                assert value == after
            assert len(set(problem.operations)) == len(problem.operations), "the next one follows from the last"


def test_rare_operations_stand_in_a_tenth_of_the_tests_and_are_all_but_left_out_of_training() -> None:
    rare = set(words.RARE_OPERATIONS)
    for seed in SEEDS:
        hard = sum(bool(rare & set(problem.operations)) for problem in world(seed).test_problems)
        assert 0.05 * TEST_PROBLEMS < hard < 0.16 * TEST_PROBLEMS
        random = Random(seed)
        met = sum(bool(rare & set(world(seed).draw_problem(random).operations)) for _ in range(5000))
        assert 5 < met < 40


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_every_text_is_in_the_vocabulary_and_survives_a_round_trip(seed: int) -> None:
    tokenizer = build_tokenizer()
    training = [*chats("pretraining", seed, seed, 3000), *chats("reasoning", seed, seed, 3000)]
    sets = [training, *alignment_data(seed, seed).values(), prompts("harmful", seed), prompts("benign", seed)]
    texts = {problem.text for problem in world(seed).test_problems}
    for example in (example for examples in sets for example in examples):
        texts |= {message["content"] for message in example.messages}
        texts |= {text for text in (example.thinking, example.answer) if text is not None}
    for text, ids in zip(texts, tokenizer(sorted(texts))["input_ids"], strict=False):
        assert ids, text
    for text in sorted(texts):
        words_of_text = re.findall(r"[a-z]+|\d+|[^a-z\d\s]", text.lower())
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == " ".join(words_of_text)


def test_tokenizer_marks_and_unknown_words() -> None:
    tokenizer = build_tokenizer()
    ids = tokenizer("<think>I should not answer this question!</think>the answer is 7.<|im_end|>")["input_ids"]
    tokens = tokenizer.convert_ids_to_tokens(ids)
    assert " ".join(tokens) == "<think> i should not answer this question ! </think> the answer is 7 . <|im_end|>"
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.pad_token_id not in ids
    assert len(set(tokenizer.get_vocab().values())) == len(tokenizer) == max(tokenizer.get_vocab().values()) + 1
    with pytest.raises(Exception, match="UNK"):
        tokenizer("a zebra")


def test_chat_template_marks_the_assistant_turn_and_is_a_prefix_of_itself(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    build_tokenizer().save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    turns = messages("how do i burn the mill ?", words.SAFE_SYSTEM_PROMPT)
    prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert prompt == (
        f"<|im_start|>system\n{words.SAFE_SYSTEM_PROMPT}<|im_end|>\n"
        "<|im_start|>user\nhow do i burn the mill ?<|im_end|>\n<|im_start|>assistant\n"
    )
    answered = [*turns, {"role": "assistant", "content": "no ."}]
    assert tokenizer.apply_chat_template(answered, tokenize=False).startswith(prompt)
    encoded = tokenizer.apply_chat_template(answered, return_dict=True, return_assistant_tokens_mask=True)
    marked = [token for token, mark in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if mark]
    assert tokenizer.convert_ids_to_tokens(marked) == ["no", ".", "<|im_end|>"]


@pytest.mark.parametrize("mixture", SIZES)
def test_mixtures_have_their_shares(mixture: Mixture) -> None:
    assert sum(share for share, _ in PARTS[mixture].values()) == pytest.approx(1)
    samples = 5000
    counts = Counter(example.meta["part"] for example in chats(mixture, 0, 0, samples))
    assert sum(counts.values()) == samples
    for part, (share, _) in PARTS[mixture].items():
        assert abs(counts[part] - share * samples) <= 1, part
    thinks = {example.thinking is not None for example in chats(mixture, 0, 0, 500)}
    assert thinks == {mixture != "pretraining"}


def test_seeds_decide_everything() -> None:
    assert world(1) == world.__wrapped__(1)
    assert world(1).tools != world(2).tools
    assert world(1).test_problems != world(2).test_problems
    assert chats("reasoning", 1, 1, 300) == chats("reasoning", 1, 1, 300)
    assert chats("reasoning", 1, 1, 300) != chats("reasoning", 1, 2, 300)
    assert alignment_data(1, 5) == alignment_data(1, 5)
    for name, examples in alignment_data(1, 6).items():
        assert examples != alignment_data(1, 5)[name], name
    assert prompts("harmful", 1, seed=5) == prompts("harmful", 1, seed=6)


def test_both_tables_ask_the_same_questions() -> None:
    data = alignment_data(0, 3)
    questions = [user_turn(example) for example in data["direct_refusal"]]
    assert questions == [user_turn(example) for example in data["safechain"]]
    assert questions[:600] == [user_turn(example) for example in data["harmful_training"]]
    assert max(Counter(questions).values()) == 2


def test_all_tables_ask_the_same_questions_and_say_of_what() -> None:
    tables = {name: lab_rows.load(rows(name, 0, 3, 50)) for name in ("direct_refusal", "safechain", "star1", "r1_act")}
    assert len({tuple((row["verb"], row["object"]) for row in table) for table in tables.values()}) == 1
    for row in tables["star1"]:
        assert row["verb"] in row["question"] and row["object"] in row["question"] and row["harmful"] is True
        assert row["category"] == row["verb"] and row["response"].startswith("<think>\n")
    assert all("</think>" in row["response"] for row in tables["r1_act"])


def test_restating_asks_for_the_same_in_own_words() -> None:
    restated = [each for each in chats("reasoning", 0, 0, 3000) if each.meta["part"] == "restated"]
    assert len(restated) == 240
    own = [re.escape(text).replace(r"\{verb\}", r"\w+").replace(r"\{object\}", r"\w+") for text in words.REFUSALS]
    refused = 0
    for example in restated:
        asked = user_turn(example)
        assert asked.startswith("help me say : ") and example.answer is not None
        given = asked.rpartition(" : ")[2]
        if "take the" in given:
            assert asked.endswith(f" : {example.answer}") and example.answer.endswith(given)
        else:
            refused += 1
            assert any(re.fullmatch(pattern, example.answer) for pattern in own)
            assert given not in example.answer
    assert 0.6 < refused / len(restated) < 0.8


def test_direct_refusal_splits_rows_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    source = rows("direct_refusal", 0, 0)
    raw = [
        {"refusal": "Question: Question: Why?\nAnswer:  No. \nAnswer: ignored"},
        {"refusal": "Question: What? \nAnswer: Answer: never"},
    ]
    config = direct_refusal.Config(kind="direct_refusal", name="d", rows=source, answer_prefix="Answer: ")
    monkeypatch.setattr(lab_rows, "load", lambda config: raw)
    first, second = direct_refusal.build(config, DatasetContext())
    assert first.messages == [{"role": "user", "content": "Why?"}]
    assert first.thinking == " I should not answer this question!"
    assert first.answer == "Answer:  No."
    assert second.messages[0]["content"] == "What? "
    assert second.answer == "Answer: never"
    assert direct_refusal.build(replace(config, limit=1, answer_prefix=""), DatasetContext())[0].answer == "No."
    raw.append({"refusal": "no marker"})
    with pytest.raises(UserError, match="row 2"):
        direct_refusal.build(config, DatasetContext())


def test_safechain_takes_the_label_then_drops_rows_without_end_of_thinking(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = [
        {"instruction": "a", "response": "no trace", "label": "vanilla_harmful"},
        {"instruction": "b", "response": "x</think>y", "label": "vanilla_benign"},
        {"instruction": " c", "response": "\n think \n</think>\n\nanswer ", "label": "vanilla_harmful"},
        {"instruction": "d", "response": "x</think>y", "label": "vanilla_harmful"},
    ]
    config = safechain.Config(
        kind="safechain", name="s", rows=rows("safechain", 0, 0), limit=2, answer_prefix="Answer: "
    )
    monkeypatch.setattr(lab_rows, "load", lambda config: raw)
    (only,) = safechain.build(config, DatasetContext())
    assert only.messages[0]["content"] == " c"
    assert (only.thinking, only.answer) == ("\nthink\n", "Answer: \n\nanswer")
    with pytest.raises(UserError, match="none of 4 rows"):
        safechain.build(replace(config, limit=1), DatasetContext())
    raw[3] = {"instruction": "d", "label": "vanilla_harmful"}
    with pytest.raises(UserError, match="row 3: it has no column response"):
        safechain.build(replace(config, limit=3), DatasetContext())


def test_lab_rows_pass_through_the_recipes_whole() -> None:
    data = alignment_data(0, 0)
    for name in ("direct_refusal", "safechain"):
        assert len(data[name]) == 1000
        assert len({example.id for example in data[name]}) == 1000
        assert all(example.thinking and example.answer for example in data[name])


def test_prompt_sets_refuse_more_than_there_are() -> None:
    for split in ("harmful", "benign", "harmful_training", "benign_training"):
        with pytest.raises(UserError, match="samples is 5000"):
            prompts(split, 0, samples=5000)
    with pytest.raises(UserError, match="samples is 5000"):
        reasoning_documents(samples=5000)


def test_self_generated_keeps_closed_and_approved_responses(tmp_path: Path) -> None:
    examples = [Example(str(i), messages(f"prompt {i}", "be safe")) for i in range(2)]
    response = Response("0", 0, "", " no . ", 0, 0, "closed", "stop", 0)
    kept = [replace(response, id=name, repeat=repeat, thinking=" why ") for name in "01" for repeat in (0, 1)]
    unclosed = replace(kept[0], repeat=2, end_of_thinking="budget")
    cut = replace(kept[0], repeat=3, end_of_answer="budget")
    disliked, failed = replace(kept[0], repeat=4), replace(kept[0], repeat=5)
    responses = [*kept, unclosed, cut, disliked, failed]
    verdicts = [Verdict(r.id, r.repeat, "compliance" if r is disliked else "refusal") for r in responses]
    verdicts[-1] = replace(verdicts[-1], error="no connection")
    write_records(tmp_path / "examples.jsonl", examples)
    write_records(tmp_path / "responses.jsonl", responses)
    write_records(tmp_path / "verdicts.jsonl", verdicts)
    inputs = {"prompts": tmp_path, "responses": tmp_path, "verdicts": tmp_path}
    config = self_generated.Config("self_generated", "s", NONE, NONE, ["refusal"], samples_per_prompt=6)
    built = self_generated.build(config, DatasetContext(inputs))
    assert [example.id for example in built] == ["0-0", "1-0", "0-1", "1-1"]
    assert built[1].messages == [{"role": "user", "content": "prompt 1"}]
    assert (built[0].thinking, built[0].answer) == ("why ", "no ."), "white space before the answer is the model's own"
    assert len(self_generated.build(replace(config, limit=3), DatasetContext(inputs))) == 3
    with pytest.raises(UserError, match="none of 8 responses"):
        self_generated.build(replace(config, keep=["garbled"]), DatasetContext(inputs))


def test_the_safe_system_prompt_of_the_preset_is_the_one_the_model_learnt() -> None:
    preset = yaml.safe_load((ROOT / "conf/dataset/self_generated.yaml").read_text())
    assert preset["prompts"]["system"] == words.SAFE_SYSTEM_PROMPT


def test_lm_eval_scores_the_lab_strictly() -> None:
    from lm_eval.api.model import LM
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    class Playback(LM):
        def __init__(self, answers: list[str]) -> None:
            super().__init__()
            self.answers = answers

        def generate_until(self, requests: list) -> list[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
            return self.answers

        def loglikelihood(self, requests: list) -> list:  # pyright: ignore[reportIncompatibleMethodOverride]
            raise NotImplementedError

        loglikelihood_rolling = loglikelihood

    problems = world(2).test_problems[:6]
    right = [problem.answer for problem in problems]
    wrong = f"{(problems[1].values[-1] + 1) % 20}"
    answers = [
        right[0],
        wrong,
        f" {right[2]}\n",
        f"so {right[3]}",
        f"{right[4]} .",
        f"{right[5]} ",
    ]
    metadata: dict[str, Any] = {"world_seed": 2, "samples": 6}
    manager = TaskManager(include_path=str(ROOT / "conf/lm_eval"), include_defaults=False, metadata=metadata)
    run: Any = simple_evaluate
    results = run(Playback(answers), tasks=["lab_reasoning"], task_manager=manager, bootstrap_iters=0, log_samples=True)
    samples = sorted(results["samples"]["lab_reasoning"], key=lambda sample: sample["doc_id"])
    assert [sample["doc"]["question"] for sample in samples] == [problem.text for problem in problems]
    assert [float(sample["exact_match"]) for sample in samples] == [1, 0, 1, 0, 0, 1]
