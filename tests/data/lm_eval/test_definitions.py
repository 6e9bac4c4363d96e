"""What a task is: all that it reads is part of it by its content, and what cannot be read is one message."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from safetax.data.lm_eval.definitions import find_definition, included, merged, task_facts
from safetax.data.lm_eval.tasks import record
from safetax.errors import ConfigError, UserError

BASE = """\
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["STOP"]}
metric_list: [{metric: exact_match}]
"""
ROW = '{"question": "may i ?", "answer": "no"}\n'


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


READS = {
    "data_files": ("dataset_path: json\ndataset_kwargs: {data_files: {test: FOLDER/rows.jsonl}}\n", "rows.jsonl"),
    "a pattern": ("dataset_path: json\ndataset_kwargs: {data_files: {test: [FOLDER/part*.jsonl]}}\n", "part2.jsonl"),
    "a folder of data": ("dataset_path: FOLDER/set\n", "set/test.jsonl"),
    "data in a folder": (
        "dataset_path: json\ndataset_kwargs: {data_dir: FOLDER/set, data_files: test.jsonl}\n",
        "set/test.jsonl",
    ),
    "an include elsewhere": ("dataset_path: json\ninclude: base/task.yaml\n", "base/task.yaml"),
    "code beside an include": ("dataset_path: json\ninclude: base/task.yaml\n", "base/code.py"),
    "code in a folder": ("dataset_path: json\nprocess_docs: !function inner.code.docs\n", "inner/code.py"),
    "what code imports": ("dataset_path: json\nprocess_docs: !function beside.docs\n", "more/helper.py"),
    "what code opens": ("dataset_path: json\nprocess_docs: !function beside.docs\n", "answers.json"),
    "a prompt": ("dataset_path: json\nuse_prompt: FOLDER/prompts.yaml:mine\n", "prompts.yaml"),
    "what metadata name": ("dataset_path: json\nmetadata: {answers: FOLDER/rows.jsonl}\n", "rows.jsonl"),
}
FILES = {
    "rows.jsonl": ROW,
    "part1.jsonl": ROW,
    "part2.jsonl": ROW,
    "set/test.jsonl": ROW,
    "base/task.yaml": "process_docs: !function code.docs\n",
    "base/code.py": "def docs(documents):\n    return documents\n",
    "inner/code.py": "def docs(documents):\n    return documents\n",
    "beside.py": "from more import helper\n\nANSWERS = 'answers.json'\n",
    "more/__init__.py": "",
    "more/helper.py": "ONE = 1\n",
    "answers.json": "[]\n",
    "prompts.yaml": "prompts: {mine: '{{question}}'}\n",
}


@pytest.mark.parametrize("name", READS)
def test_an_edit_of_what_a_task_reads_makes_it_another_task(name: str, tmp_path: Path) -> None:
    definition, read = READS[name]
    plain = tmp_path / "elsewhere"
    put(tmp_path, {**FILES, "mine.yaml": f"task: mine\n{definition.replace('FOLDER', str(tmp_path))}{BASE}"})
    put(plain, {"plain.yaml": f"task: plain\ncustom_dataset: !function none.load\n{BASE}"})
    before, other = task_facts("mine", str(tmp_path), {}), task_facts("plain", str(plain), {})
    assert "reads" not in other, "what reads nothing else is what it was"
    (tmp_path / read).write_text((tmp_path / read).read_text() + "\n")
    assert task_facts("mine", str(tmp_path), {}) != before
    (tmp_path / read).write_text((tmp_path / read).read_text()[:-1])
    assert task_facts("mine", str(tmp_path), {}) == before
    put(tmp_path, {"unread.jsonl": ROW})
    assert task_facts("mine", str(tmp_path), {}) == before


def test_data_that_changed_since_the_plan_are_not_recorded(tmp_path: Path) -> None:
    definition, read = READS["data_files"]
    put(tmp_path, {**FILES, "mine.yaml": f"task: mine\n{definition.replace('FOLDER', str(tmp_path))}{BASE}"})
    facts = task_facts("mine", str(tmp_path), {})
    assert [row.messages[0]["content"] for row in record("mine", str(tmp_path), {}, None, facts)] == ["may i ?"]
    (tmp_path / read).write_text(ROW * 2)
    with pytest.raises(UserError, match=r"task mine: .* has changed since this step was planned; run the same command"):
        record("mine", str(tmp_path), {}, None, facts)


def test_the_later_of_several_includes_wins_and_the_task_itself_over_both(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "mine.yaml": "task: mine\ninclude: [one.yaml, two.yaml]\na: 0\n",
            "one.yaml": "a: 1\nb: 1\nc: 1\n",
            "two.yaml": "a: 2\nb: 2\n",
        },
    )
    values = merged(list(included(find_definition("mine", str(tmp_path)))))
    assert (values["a"], values["b"], values["c"]) == (0, 2, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("include: no.yaml\n", r"mine\.yaml: include=.*no\.yaml: there is no such file"),
        ("include: mine.yaml\n", "mine.yaml includes itself"),
        ("a: [\n", r"mine\.yaml is no YAML \(.*line"),
        ("a: " + "[" * 5000 + "]" * 5000 + "\n", r"mine\.yaml is nested too deeply"),
        ("a: \ud800\n", r"mine\.yaml is no YAML"),
        ("include: fifo\n", r"include=.*fifo: this is a FIFO; allowed is a regular file"),
        ("include: loop\n", r"include=.*loop: its symbolic links lead in a circle"),
        (f"include: {'x' * 300}\n", "the name is too long"),
        ("dataset_path: json\ndataset_kwargs: {data_files: FOLDER/fifo}\n", r"data_files=.*fifo: this is a FIFO"),
        ("dataset_path: json\ndataset_kwargs: {data_files: /dev/zero}\n", r"data_files=/dev/zero: this is a device"),
        ("output_type: multiple_choice\n", "output_type is multiple_choice, which needs log-likelihoods"),
    ],
)
def test_a_definition_that_cannot_be_read_is_one_message(text: str, said: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    definition = f"task: mine\n{text.replace('FOLDER', str(tmp_path))}"
    (tmp_path / "mine.yaml").write_bytes(definition.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError, match=said):
        task_facts("mine", str(tmp_path), {})
