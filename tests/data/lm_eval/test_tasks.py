"""lm-eval tasks in two passes: frozen documents, repeats, stop strings, and what is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetax.data.lm_eval import definitions as lm_eval_definitions
from safetax.data.lm_eval.definitions import task_facts
from safetax.data.lm_eval.tasks import cut, grade, record
from safetax.errors import ConfigError, UserError
from safetax.records import Example, Response

TASK = """\
task: shuffled
custom_dataset: !function documents.load
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
process_docs: !function documents.shuffled
generation_kwargs: {until: ["STOP"]}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""
CODE = """\
import random

from datasets import Dataset


def load(**metadata):
    rows = [{"question": f"question {n % 30}", "answer": f"answer {n}"} for n in range(40)]
    return {"test": Dataset.from_list(rows)}


def shuffled(documents):
    order = list(range(len(documents)))
    random.SystemRandom().shuffle(order)
    return documents.select(order)
"""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "shuffled.yaml").write_text(TASK)
    (tmp_path / "documents.py").write_text(CODE)
    return str(tmp_path)


def answered(examples: list[Example], repeats: int, right: int) -> list[Response]:
    """Return responses of which the repeats from ``right`` on are wrong."""
    return [
        Response(
            example.id,
            repeat,
            None,
            example.meta["document"]["answer"] + "STOP and more" if repeat < right else "something else",
            0,
            3,
            "closed",
            "stop",
            0,
        )
        for example in examples
        for repeat in range(repeats)
    ]


def test_documents_are_frozen_as_recorded(folder: str) -> None:
    """The task shuffles anew each time it is loaded, and 10 of its 40 prompts occur twice with other answers."""
    examples = record("shuffled", folder, {}, None)
    assert len({example.id for example in examples}) == len(examples) == 40
    assert examples[0].messages == [{"role": "user", "content": examples[0].meta["document"]["question"]}]
    verdicts = grade("shuffled", folder, {}, None, examples, answered(examples, 1, 1))
    assert [verdict.id for verdict in verdicts] == [example.id for example in examples]
    assert all(verdict.correct for verdict in verdicts)


def test_every_repeat_is_graded(folder: str) -> None:
    examples = record("shuffled", folder, {}, 5)
    verdicts = grade("shuffled", folder, {}, None, examples, answered(examples, 3, 2))
    assert len(verdicts) == 15
    assert {(verdict.repeat, verdict.correct) for verdict in verdicts} == {(0, True), (1, True), (2, False)}


SHOTS = """\
task: shown
custom_dataset: !function documents.load
test_split: test
fewshot_split: test
num_fewshot: 3
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["STOP"]}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""


@pytest.mark.parametrize("limit", [None, 2])
def test_worked_examples_are_the_same_each_time_and_no_part_of_the_scoring(folder: str, limit: int | None) -> None:
    (Path(folder) / "shown.yaml").write_text(SHOTS)
    examples = record("shown", folder, {}, limit)
    asked = [example.messages[-1]["content"] for example in examples]
    assert {(text.count("question "), text.count("answer ")) for text in asked} == {(4, 3)}
    assert record("shown", folder, {}, limit) == examples
    assert record("shown", folder, {}, 1) == examples[:1]
    assert len({text.rpartition("question ")[0] for text in asked}) == len(asked), "other examples for each"
    for right, expected in ((1, True), (0, False)):
        verdicts = grade("shown", folder, {}, None, examples, answered(examples, 1, right))
        assert [verdict.id for verdict in verdicts] == [example.id for example in examples]
        assert {verdict.correct for verdict in verdicts} == {expected}


def test_a_template_is_compiled_once_for_all_documents(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """lm-eval itself compiles it for each; its environment is as it was afterwards."""
    from lm_eval.utils import env

    compiled: list[str] = []
    compile_one = type(env).compile

    def counted(self: object, source: str, *arguments: object, **keywords: object) -> object:
        compiled.append(source)
        return compile_one(self, source, *arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(type(env), "compile", counted)
    examples = record("shuffled", folder, {}, None)
    grade("shuffled", folder, {}, None, examples, answered(examples, 1, 1))
    assert {"{{question}}", "{{answer}}"} <= set(compiled)
    assert len(compiled) < 10 < len(examples)
    assert "from_string" not in vars(env)


def test_metric_that_the_task_lacks_is_named(folder: str) -> None:
    examples = record("shuffled", folder, {}, 2)
    with pytest.raises(UserError, match=r"grader\.metric=f1: task shuffled has exact_match"):
        grade("shuffled", folder, {}, "f1", examples, answered(examples, 1, 1))


def test_stop_strings_cut_the_answer() -> None:
    assert cut("one STOP two END", ["END", "STOP"]) == "one "
    assert cut("one", ["STOP", ""]) == "one"


def test_facts_hold_the_definition_and_the_code_beside_it(folder: str) -> None:
    before = task_facts("shuffled", folder, {})
    assert set(before["files"]) == {"shuffled.yaml", "documents.py"}
    (Path(folder) / "documents.py").write_text(CODE + "\n")
    assert task_facts("shuffled", folder, {}) != before


def test_what_cannot_be_asked_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"task=mmlu_abstract_algebra: its output_type is multiple_choice"):
        task_facts("mmlu_abstract_algebra", None, {})
    with pytest.raises(ConfigError, match="task=no_such_task: no lm-eval task has that name"):
        task_facts("no_such_task", None, {})


def test_the_shipped_definitions_are_found_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub alone is stood in for: what is asked of it, and that its answer becomes part of the facts."""
    asked = []

    def commit(name: str, revision: str | None, kind: str) -> str:
        asked.append((name, revision, kind))
        return "c" * 40

    monkeypatch.setattr(lm_eval_definitions, "hub_commit", commit)
    facts = task_facts("gsm8k", None, {})
    assert "gsm8k.yaml" in facts["files"] and facts["commit"] == "c" * 40
    assert asked == [("openai/gsm8k", None, "dataset")]
    facts = task_facts("safetax_gpqa_diamond", None, {"path": None, "revision": "v1"})
    assert asked[1:] == [("Idavidrein/gpqa", "v1", "dataset")]


def test_data_are_loaded_at_the_commit_that_was_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tasks of lm-eval's own making too; the hub is stood in for by what would be asked of it."""
    import datasets

    (tmp_path / "stock.yaml").write_text(
        "task: stock\ndataset_path: some/set\ndataset_kwargs: {data_dir: here}\ntest_split: test\n"
        'output_type: generate_until\ndoc_to_text: "{{question}}"\ndoc_to_target: "{{answer}}"\n'
        'generation_kwargs: {until: ["STOP"]}\nmetric_list: [{metric: exact_match}]\n'
    )
    asked = []

    def load(path: str, name: str | None = None, **settings: object) -> dict[str, object]:
        asked.append((path, settings))
        return {"test": datasets.Dataset.from_list([{"question": "1 + 1?", "answer": "2"}])}

    monkeypatch.setattr(datasets, "load_dataset", load)
    examples = record("stock", str(tmp_path), {}, None, {"commit": "c" * 40})
    assert [example.messages[0]["content"] for example in examples] == ["1 + 1?"]
    verdicts = grade("stock", str(tmp_path), {}, None, examples, answered(examples, 1, 1), {"commit": "c" * 40})
    assert [verdict.correct for verdict in verdicts] == [True]
    assert asked == [("some/set", {"data_dir": "here", "revision": "c" * 40})] * 2
