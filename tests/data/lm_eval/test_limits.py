"""A limit for each answer that an lm-eval task scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetax.data.lm_eval import limits
from safetax.data.lm_eval.tasks import grade, record
from safetax.records import Response

ENDLESS = """\
task: endless
custom_dataset: !function documents.load
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["STOP"]}
filter_list:
  - {name: strict, filter: [{function: regex, regex_pattern: "^(a+)+$"}, {function: take_first}]}
  - {name: plain, filter: [{function: take_first}]}
metric_list: [{metric: exact_match}]
"""


CODE = """\
from datasets import Dataset


def load(**metadata):
    return {"test": Dataset.from_list([{"question": f"question {n}", "answer": "aaa"} for n in range(4)])}
"""


def test_a_pattern_that_never_ends_costs_one_answer_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ANSWER_SECONDS", 0.3)
    (tmp_path / "endless.yaml").write_text(ENDLESS)
    (tmp_path / "documents.py").write_text(CODE)
    examples = record("endless", str(tmp_path), {}, 4)
    texts = ["aaa", "a" * 60 + "b", "bbb", "aaa"]
    responses = [
        Response(example.id, repeat, None, text, 0, 3, "closed", "stop", 0)
        for repeat in range(2)
        for example, text in zip(examples, texts, strict=True)
    ]
    verdicts = grade("endless", str(tmp_path), {}, None, examples, responses)
    assert [(verdict.label, verdict.correct) for verdict in verdicts] == [
        ("correct", True),
        ("too long", False),
        ("wrong", False),
        ("correct", True),
    ] * 2
