"""The grader that is an lm-eval task: one of the user's own folder, through resolve and judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetax.data.lm_eval.tasks import record
from safetax.errors import UserError
from safetax.evaluation.graders import SOUND_VERSION
from safetax.evaluation.judges import lm_eval
from tests.support.judged import context, response

TASK = """\
task: capitals
custom_dataset: !function documents.load
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["."]}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""
CODE = """\
from datasets import Dataset


def load(**metadata):
    rows = [{"question": "Capital of France?", "answer": "Paris"}, {"question": "Of Peru?", "answer": "Lima"}]
    return {"test": Dataset.from_list(rows)}
"""


def test_responses_are_graded_by_the_task_that_asked(tmp_path: Path) -> None:
    (tmp_path / "capitals.yaml").write_text(TASK)
    (tmp_path / "documents.py").write_text(CODE)
    config = lm_eval.Config("lm_eval", "capitals", str(tmp_path))
    facts = lm_eval.resolve(config)
    (tmp_path / "documents.py").write_text(CODE + "\n")
    assert lm_eval.resolve(config) != facts  # the code that the task names is part of the judge
    examples = record("capitals", str(tmp_path), {}, None)
    said = {"Capital of France?": "Paris. And more", "Of Peru?": "Quito"}
    responses = [response(example.id, said[example.messages[-1]["content"]]) for example in examples]
    with pytest.raises(UserError, match="has changed since this step was planned"):
        lm_eval.judge(config, examples, responses, context(tmp_path, facts))
    now = context(tmp_path, lm_eval.resolve(config))
    verdicts = lm_eval.judge(config, examples, responses, now)
    assert [(verdict.label, verdict.correct) for verdict in verdicts] == [("correct", True), ("wrong", False)]
    other = lm_eval.Config("lm_eval", "capitals", str(tmp_path), metric="f1")
    with pytest.raises(UserError, match=r"grader\.metric=f1: task capitals has exact_match"):
        lm_eval.judge(other, examples, responses, now)


SUMS = f"""\
{TASK.partition("metric_list")[0].replace("capitals", "sums").replace("question", "problem")}
process_results: !function safetax.evaluation.graders.sound.process_results
metric_list:
  - {{metric: sound, aggregation: mean, higher_is_better: true}}
"""


def test_a_task_that_grades_by_the_sound_rule_has_its_version(tmp_path: Path) -> None:
    (tmp_path / "capitals.yaml").write_text(TASK)
    (tmp_path / "sums.yaml").write_text(SUMS)
    code = CODE.replace("question", "problem").replace('"answer"', '"kind": "math", "answer"').replace("Paris", "1/2")
    (tmp_path / "documents.py").write_text(code)
    plain, config = (lm_eval.Config("lm_eval", task, str(tmp_path)) for task in ("capitals", "sums"))
    facts = lm_eval.resolve(config)
    assert "rule" not in lm_eval.resolve(plain) and facts["rule"] == SOUND_VERSION
    examples = record("sums", str(tmp_path), {}, None)
    responses = [response(example.id, "So 1/2, since 2 times 1/2 is 1") for example in examples]
    verdicts = lm_eval.judge(config, examples, responses, context(tmp_path, facts))
    assert [verdict.correct for verdict in verdicts] == [True, False]
