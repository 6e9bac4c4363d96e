"""The reasoning benchmarks: documents and prompts, graders on real problems, repeats, and a run of a real model."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bench.graders import measure, problems
from safetax.config.compose import Composer
from safetax.data.datasets import DatasetContext, lm_eval_task
from safetax.errors import ConfigError, UserError
from safetax.evaluation.graders import SOUND_VERSION
from safetax.evaluation.graders.algebra import Algebra
from safetax.evaluation.judges import paper_grader, sound
from safetax.evaluation.judging.cases import JudgeContext
from safetax.plan.graph import Plan
from safetax.plan.planner import plan
from safetax.plan.resolve import Resolver
from safetax.records import Example, Response
from safetax.results.scores import benchmark_scores
from safetax.results.scores import measure as measured
from tests.support.places import ROOT, public_data

TRIVIA = ROOT / "tests" / "data" / "gpqa_shaped.jsonl"


def recorded(name: str, path: Path, limit: int | None = None, **metadata: Any) -> list[Example]:
    """Return the prompts of one of our tasks as the prepare worker builds them."""
    config = lm_eval_task.Config("lm_eval_task", f"safetax_{name}", None, {"path": str(path), **metadata}, limit)
    return lm_eval_task.build(config, DatasetContext(facts=lm_eval_task.resolve(config)))


def responses(examples: list[Example], answers: list[list[str]]) -> list[Response]:
    return [
        Response(example.id, repeat, "", text, 0, 1, "closed", "stop", 0)
        for example, texts in zip(examples, answers, strict=True)
        for repeat, text in enumerate(texts)
    ]


def judged(examples: list[Example], answered: list[Response], tmp_path: Path) -> list[Any]:
    context = JudgeContext({}, {}, tmp_path, tmp_path, lambda done, total: None)
    return sound.judge(sound.Config("sound"), examples, answered, context)


@pytest.mark.parametrize(("name", "others"), [("aime24", 5), ("math500", 1), ("gsm8k", 2)])
def test_the_sound_grader_on_real_problems(name: str, others: int) -> None:
    """Every reference solution and answer is correct, and another problem's only where it is the same answer."""
    entries = problems(name, public_data(f"{'gsm8k_test' if name == 'gsm8k' else name}.jsonl").parent)
    algebra = Algebra()
    try:
        found = measure(entries, algebra, others)
    finally:
        algebra.close()
    assert entries and (found.solutions, found.answers) == (len(entries), len(entries))
    assert set(found.strange) <= {("5", "x=5"), ("x=5", "5")}


@pytest.mark.parametrize(
    ("name", "file", "column"),
    [("aime24", "aime24", "problem"), ("math500", "math500", "problem"), ("gsm8k", "gsm8k_test", "question")],
)
def test_prompts_are_the_bare_problems(name: str, file: str, column: str) -> None:
    rows = [json.loads(line) for line in public_data(f"{file}.jsonl").read_text(encoding="utf-8").splitlines()]
    examples = recorded(name, public_data(f"{file}.jsonl"))
    assert [example.messages for example in examples] == [[{"role": "user", "content": row[column]}] for row in rows]
    document = examples[0].meta["document"]
    assert set(document) == {"problem", "kind", "answer"}
    assert document["answer"] == str(rows[0]["answer"]).rpartition("####")[2].strip()


def test_choices_are_shuffled_by_the_seed_and_the_question_alone() -> None:
    examples = recorded("gpqa_diamond", TRIVIA)
    rows = [json.loads(line) for line in TRIVIA.read_text(encoding="utf-8").splitlines()]
    for example, row in zip(examples, rows, strict=True):
        document = example.meta["document"]
        choices = document["choices"]
        assert sorted(choices) == sorted(value for key, value in row.items() if key != "Question")
        assert choices["ABCD".index(document["answer"])] == row["Correct Answer"]
        listed = "".join(f"\n{letter}) {text}" for letter, text in zip("ABCD", choices, strict=True))
        assert example.messages == [{"role": "user", "content": f"{row['Question']}\n{listed}"}]
    assert recorded("gpqa_diamond", TRIVIA) == examples
    assert recorded("gpqa_diamond", TRIVIA, limit=3) == examples[:3]
    assert recorded("gpqa_diamond", TRIVIA, shuffle_seed=1) != examples
    assert len({example.meta["document"]["answer"] for example in examples}) > 2


def test_choices_are_graded(tmp_path: Path) -> None:
    examples = recorded("gpqa_diamond", TRIVIA)
    documents = [example.meta["document"] for example in examples]
    right = [f"So it must be this one.\n\n\\boxed{{{document['answer']}}}" for document in documents]
    spelled = [f"The answer is {document['choices']['ABCD'.index(document['answer'])]}." for document in documents]
    wrong = ["Answer: " + "BCDA"["ABCD".index(document["answer"])] for document in documents]
    silent = ["I would rather not say."] * len(documents)
    answers = [list(texts) for texts in zip(right, spelled, wrong, silent, strict=True)]
    verdicts = judged(examples, responses(examples, answers), tmp_path)
    labels = [Counter(verdict.label for verdict in verdicts if verdict.repeat == repeat) for repeat in range(4)]
    assert labels == [{"correct": 12}, {"correct": 12}, {"wrong": 12}, {"unresolved": 12}]


def test_repeats_are_averaged(tmp_path: Path) -> None:
    """The accuracy of four samples per problem is the mean over all of them, with as many n as problems."""
    examples = recorded("gpqa_diamond", TRIVIA)
    right = [example.meta["document"]["answer"] for example in examples]
    answers = [[letter if repeat < index % 5 else "E" for repeat in range(4)] for index, letter in enumerate(right)]
    verdicts = judged(examples, responses(examples, answers), tmp_path)
    evaluation = {"measures": "accuracy", "prompts": "x", "headline": True}
    found = benchmark_scores(measured(evaluation, [asdict(verdict) for verdict in verdicts], 0))["accuracy"]
    share = sum(index % 5 for index in range(12)) / 48
    assert found.value == pytest.approx(100 * share)
    assert found.n == 12 and found.errors == 0


def planned(*overrides: str) -> Plan:
    [job] = Composer().jobs(["judge=[lab]", "model.context=40000", *overrides], multirun=False)
    return plan([(Resolver(lenient=True).resolve(job.config), job.overrides)])


def test_an_edited_file_is_a_new_prompt_set(tmp_path: Path) -> None:
    copy = tmp_path / "questions.jsonl"
    copy.write_bytes(TRIVIA.read_bytes())
    overrides = [
        "benchmark=[gpqa_diamond]",
        "evaluation=sound",
        f"benchmark.gpqa_diamond.prompts.metadata.path={copy}",
    ]

    def prompts() -> str:
        [step] = [step for step in planned(*overrides).steps if step.title == "prompts gpqa_diamond"]
        return step.fingerprint

    before = prompts()
    assert prompts() == before
    config = lm_eval_task.Config("lm_eval_task", "safetax_gpqa_diamond", None, {"path": str(copy)})
    facts = lm_eval_task.resolve(config)
    copy.write_text(copy.read_text().replace("spider", "beetle"))
    assert prompts() != before
    with pytest.raises(UserError, match="has changed since this step was planned"):
        lm_eval_task.build(config, DatasetContext(facts=facts))


def test_the_graders_follow_the_evaluation() -> None:
    rules = (("paper", "paper_grader", paper_grader.VERSION), ("sound", "sound", SOUND_VERSION))
    for evaluation, grader, rule in rules:
        names = ["aime24", "math500", "gpqa_diamond", "gsm8k"]
        paths = [f"benchmark.{name}.prompts.metadata.path={TRIVIA}" for name in names]
        steps = planned(f"benchmark=[{','.join(names)}]", f"evaluation={evaluation}", *paths).steps
        graders = [step.identity["judge"] for step in steps if step.title.startswith("grade ")]
        assert graders and {judge["kind"] for judge in graders} == {grader}
        assert all(judge["resolved"]["rule"] == rule for judge in graders)


def test_the_papers_sampling() -> None:
    """Two greedy phases of 5,000 tokens for reasoning; one text at temperature 1, without a header, for safety."""
    [job] = Composer().jobs(["evaluation=paper"], multirun=False)
    chosen = job.config.evaluation
    reasoning = (chosen.thinking_budget, chosen.answer_budget, chosen.temperature, chosen.one_phase)
    assert reasoning == (5000, 5000, 0.0, False) and chosen.assistant_header
    safety = chosen.safety
    assert safety is not None and (safety.thinking_budget, safety.temperature, safety.top_p) == (5000, 1.0, 1.0)
    assert safety.one_phase and not safety.assistant_header


@pytest.mark.parametrize(
    ("name", "rows", "told"),
    [
        ("aime24", [{"problem": "1 + 1?", "answer": "two"}], r"row 0 is bad: its answer is no whole number: 'two'"),
        ("math500", [{"problem": "a", "answer": "1"}, {"question": "b"}], r"row 1 is bad: it has no column 'answer'"),
        ("gsm8k", [{"question": "a", "answer": "18"}], r"row 0 is bad: its column answer has no '####'"),
        ("gpqa_diamond", [{"Question": "a", "Correct Answer": "b"}], r"it has no column 'Incorrect Answer \d'"),
        ("gpqa_diamond", [], r"(has|holds) no rows"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, name: str, rows: list[dict[str, str]], told: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(UserError, match=told):
        recorded(name, path)


def test_a_missing_file_and_a_missing_grader_are_named() -> None:
    with pytest.raises(ConfigError, match=r"benchmark\.aime24\.prompts\.metadata\.path=nowhere\.jsonl: there is"):
        planned("benchmark=[aime24]", "evaluation=sound", "benchmark.aime24.prompts.metadata.path=nowhere.jsonl")
    with pytest.raises(ConfigError, match=r"benchmark\.aime24\.grader"):
        planned("benchmark=[aime24]", "evaluation=lab")


@pytest.mark.slow
def test_a_run_of_a_real_model(tmp_path: Path) -> None:
    """A random Qwen2 with the published markup answers the questions four times each, and its answers are graded."""
    import torch
    from rich.console import Console
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from safetax.run.session import Session
    from tests.support.tokenizers_like import qwen_like

    torch.manual_seed(0)
    tokenizer = qwen_like()
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=1024,
    )
    Qwen2ForCausalLM(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    outputs = tmp_path / "outputs"
    composer = Composer()
    jobs = composer.jobs(
        [
            "model=s1.1-1.5b",
            f"model.id={tmp_path / 'model'}",
            "model.parameters=0.0001",
            "stage=original",
            "format=s1",
            "benchmark=[gpqa_diamond]",
            f"benchmark.gpqa_diamond.prompts.metadata.path={TRIVIA}",
            "benchmark.gpqa_diamond.repeats=4",
            "evaluation=sound",
            "evaluation.thinking_budget=12",
            "evaluation.answer_budget=8",
            "runtime.isolation=shared",
            "tracking=off",
            f"runtime.outputs={outputs}",
        ],
        multirun=False,
    )
    text = io.StringIO()
    session = Session(Console(file=text, width=120))
    try:
        session.run(session.plan(jobs), sweep=False)
    finally:
        print(text.getvalue())
    [manifest] = outputs.glob("score/*/manifest.json")
    summary = json.loads(manifest.read_text())["summary"]
    assert (summary["judge"], summary["verdicts"], summary["errors"]) == ("sound", 48, 0)
    assert sum(summary["labels"].values()) == 48
    verdicts = [json.loads(line) for line in (manifest.parent / "verdicts.jsonl").read_text().splitlines()]
    assert Counter(verdict["repeat"] for verdict in verdicts) == dict.fromkeys(range(4), 12)
