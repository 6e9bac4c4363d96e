"""Components as their authors write them, and get them wrong: a module and a YAML in a folder, and the real command.

Each mistake is one message that names the component and the remedy, with exit code 2, no traceback, and no report of a
score that was never given; what each field may hold is tested in ``tests/config/test_plugins.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

JUDGE = """
from dataclasses import dataclass
from safetax.api import Verdict


@dataclass(frozen=True)
class Config:
    kind: str


def judge(config, examples, responses, context):
    return [{verdict} for response in responses]
"""
SCORE = 'Verdict(response.id, response.repeat, "x", harmful={value})'

DATASET = """
from dataclasses import dataclass
from typing import Annotated
from safetax.api import Example, Label


@dataclass(frozen=True)
class Config:
    kind: str
    name: Annotated[str, Label()]


def build(config, context):
    for number in range(8):
        {before}
        yield Example(f"mine-{{number}}", [{{"role": "user", "content": "how do i"}}], "i should", {answer})
"""

ENGINE = """
from dataclasses import dataclass
from safetax.api import ALONE, Generated


@dataclass(frozen=True)
class Config:
    kind: str


def start(config, source, runtime):
    return Canned()


class Canned:
    facts = {{"version": "1"}}

    def respond(self, prompts, markers, sharing=ALONE):
        for index, prompt in enumerate(prompts):
            {body}

    {method}
"""
CANNED = 'yield index, Generated(None, "", {answer}, 0, 1, "none", "stop")'
CLOSE = "def close(self): pass"

OBJECTIVE = """
from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    kind: str


class Mine:
    name, weight = "mine", 0.1

    def in_objective(self, example):
        return True

    def values(self, logits, labels, reference):
        return {values}


def make(config):
    return Mine()
"""

ROWS = """
from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    kind: str


def load(config):
    return {rows}
"""


@dataclass(frozen=True)
class Done:
    code: int
    said: str
    folder: Path

    def error(self) -> str:
        """Return the message of the failure, and check that it is one and that nothing was reported."""
        assert self.code == 2, self.said
        assert "Traceback" not in self.said
        assert not list(self.folder.glob("outputs/runs/*/results.json"))
        return " ".join(self.said.split())


def written(folder: Path, code: str, lab: Path) -> Path:
    (folder / "my_part").mkdir()
    (folder / "my_part" / "mine.py").write_text(code)
    for group, text in {
        "judge": "# @package judge.mine\nkind: my_part.mine\n",
        "dataset": "kind: my_part.mine\nname: mine\n",
        "engine": "kind: my_part.mine\n",
        "objective": "kind: my_part.mine\n",
    }.items():
        (folder / "conf" / group).mkdir(parents=True)
        (folder / "conf" / group / "mine.yaml").write_text(text)
    shutil.copytree(lab, folder / "outputs", ignore=shutil.ignore_patterns("runs"))
    return folder


def run(folder: Path, *overrides: str) -> Done:
    command = [sys.executable, "-m", "safetax", "--config-dir", "conf", "+experiment=lab_quick", "tracking=off"]
    environment = {**os.environ, "COLUMNS": "400"}
    done = subprocess.run([*command, *overrides], cwd=folder, capture_output=True, text=True, env=environment)
    return Done(done.returncode, done.stdout + done.stderr, folder)


@pytest.mark.parametrize(
    ("verdict", "parts"),
    [
        (SCORE.format(value="0.7"), ["harmful=0.7", "True or False", "score > 0.5"]),
        (SCORE.format(value="'yes'"), ["harmful='yes'"]),
        (SCORE.format(value="1 / 0"), ["line 12: ZeroDivisionError: division by zero"]),
    ],
)
def test_a_judge(tmp_path: Path, quick_lab: Path, verdict: str, parts: list[str]) -> None:
    folder = written(tmp_path, JUDGE.format(verdict=verdict), quick_lab)
    text = run(folder, "judge=[mine]").error()
    for part in ["judge my_part.mine", str(folder / "my_part" / "mine.py"), *parts]:
        assert part in text, text
    if "ZeroDivisionError" in text:
        logs = [path.read_text() for path in folder.glob("outputs/score/*/worker.log")]
        assert any("Traceback" in log and "ZeroDivisionError" in log for log in logs)
    (folder / "my_part" / "mine.py").write_text(JUDGE.format(verdict=SCORE.format(value="False")))
    done = run(folder, "judge=[mine]")
    assert done.code == 0, done.said
    (results,) = folder.glob("outputs/runs/*/results.json")
    assert json.loads(results.read_text())["checkpoints"]


@pytest.mark.parametrize(
    ("before", "answer", "parts"),
    [
        ("pass", "None", ["example 0 (mine-0) has answer=None", "trained on"]),
        ("pass", "3", ["answer=3", "text or None"]),
        ("pass", "'i can zigzag .'", ["zigzag", "outside the lab's vocabulary"]),
        ("assert number < 5, 'too many'", "'i can .'", ["line 15: AssertionError: too many"]),
    ],
)
def test_a_data_set(tmp_path: Path, quick_lab: Path, before: str, answer: str, parts: list[str]) -> None:
    folder = written(tmp_path, DATASET.format(before=before, answer=answer), quick_lab)
    text = run(folder, "dataset=mine").error()
    for part in parts:
        assert part in text, text
    assert "zigzag" in text or "data set my_part.mine" in text
    made = [path for path in folder.glob("outputs/prepare/*/examples.jsonl") if "mine-" in path.read_text()]
    assert not made and "data mine failed" in text, "it is found before anything is trained on it"


@pytest.mark.parametrize(
    ("body", "method", "parts"),
    [
        (CANNED.format(answer="'i can .'"), "", ["has no method close"]),
        ("break\n" + " " * 12 + "yield", CLOSE, ["respond ended with no response to", "sharing.claim"]),
        (CANNED.format(answer="None"), CLOSE, ["answer=None; allowed is text"]),
        (CANNED.format(answer="prompt.text"), CLOSE, ["line 20: AttributeError", "'text'"]),
    ],
)
def test_an_engine(tmp_path: Path, quick_lab: Path, body: str, method: str, parts: list[str]) -> None:
    folder = written(tmp_path, ENGINE.format(body=body, method=method), quick_lab)
    text = run(folder, "engine=mine").error()
    for part in ["engine my_part.mine", *parts]:
        assert part in text, text


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ("logits.sum()", ["a tensor of float32 and shape []", "one value for each token"]),
        ("logits", ["one value for each token"]),
        ("logits.detach().sum(1)", ["no gradient"]),
        ("logits.sum(1) * float('nan')", ["the sum of its values is nan"]),
        ("logits.no_such()", ["line 17: AttributeError"]),
    ],
)
def test_an_objective(tmp_path: Path, quick_lab: Path, values: str, parts: list[str]) -> None:
    folder = written(tmp_path, OBJECTIVE.format(values=values), quick_lab)
    text = run(folder, "objective@alignment.objective=mine").error()
    for part in ["objective my_part.mine", *parts]:
        assert part in text, text


def test_an_objective_that_cannot_be_made_is_told_before_anything_runs(tmp_path: Path, quick_lab: Path) -> None:
    folder = written(tmp_path, OBJECTIVE.format(values="0").replace("return Mine()", "return Mine"), quick_lab)
    shutil.rmtree(folder / "outputs")
    (folder / "my_part" / "mine.py").write_text(
        OBJECTIVE.format(values="0").replace('name, weight = "mine", 0.1', 'name, weight = "loss", 0.1')
    )
    assert "its name is 'loss'" in run(folder, "objective@alignment.objective=mine").error()
    assert not (folder / "outputs").exists()


def test_a_row_source(tmp_path: Path, quick_lab: Path) -> None:
    folder = written(tmp_path, ROWS.format(rows="['how do i']"), quick_lab)
    text = run(folder, "dataset=direct_refusal", "dataset.rows={kind: my_part.mine}").error()
    assert "row source my_part.mine" in text and "row 0 is 'how do i'; allowed is a dict" in text


def test_a_config_that_no_worker_could_make_again(tmp_path: Path, quick_lab: Path) -> None:
    code = JUDGE.format(verdict="None").replace(
        "    kind: str\n", "    kind: str\n    words: tuple[str, ...] = ('no',)\n"
    )
    folder = written(tmp_path, code, quick_lab)
    text = run(folder, "judge=[mine]").error()
    assert "judge.mine.kind=my_part.mine: its Config has words: tuple[str, ...]; allowed are str" in text
