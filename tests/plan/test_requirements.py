"""A component is one file and one YAML: preflight, estimate and jobs see what it needs, and nothing else is edited."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from safetax.config.compose import Composer
from safetax.plan.requirements import libraries, needs_of_step, repositories, servers
from safetax.plan.resolve import Resolver
from safetax.run.session import Session
from tests.support.places import ROOT
from tests.support.tiny_models import save_tiny

FILES = {
    "safetax/evaluation/judges/strict.py": '''
"""A guard of our own, of 70 billion parameters."""

from dataclasses import dataclass

from safetax.config.needs import Library, LocalModel, Needs, Repository
from safetax.data.hub import model_facts


@dataclass(frozen=True)
class Config:
    kind: str
    weights: str = "nobody/strict-70b"


def needs(config):
    model = LocalModel(config.weights, 70.0, "bfloat16", max_tokens=2048)
    gated = Repository(config.weights, "model", gated=True, key="weights")
    return Needs(libraries=(Library("strict_guard"),), repositories=(gated,), local_model=model)


def resolve(config):
    return model_facts(config.weights, None)


def judge(config, examples, responses, context):
    raise NotImplementedError
''',
    "conf/judge/strict.yaml": "# @package judge.strict\nkind: strict\n",
    "safetax/evaluation/engines/slow.py": '''
"""An engine of our own: one copy on one GPU."""

from dataclasses import dataclass

from safetax.config.needs import Library, Needs, ServedModel


@dataclass(frozen=True)
class Config:
    kind: str
    precision: str = "float32"


def needs(config):
    served = ServedModel(config.precision, memory_reads=0.5)
    return Needs(libraries=(Library("slow_engine", "precision"),), served_model=served)


def start(config, source, runtime):
    raise NotImplementedError
''',
    "conf/engine/slow.yaml": "kind: slow\n",
    "safetax/data/datasets/scraped.py": '''
"""Rows of our own, read from a gated repository."""

from dataclasses import dataclass
from typing import Annotated

from safetax.config.fields import Label
from safetax.config.needs import Library, Needs, Repository


@dataclass(frozen=True)
class Config:
    kind: str
    name: Annotated[str, Label()]
    origin: str = "nobody/scraped"


def needs(config):
    gated = Repository(config.origin, "dataset", gated=True, key="origin")
    return Needs(libraries=(Library("scraper"),), repositories=(gated,), rows=123_456, row_tokens=77)


def build(config, context):
    raise NotImplementedError
''',
    "conf/dataset/scraped.yaml": "kind: scraped\nname: scraped\n",
}

ASKED = """
import json, sys
from pathlib import Path

from safetax.config.compose import Composer
from safetax.plan.estimate import estimates
from safetax.plan.planner import plan
from safetax.plan.preflight import problems
from safetax.plan.resolve import Resolver
from safetax.run.slurm.jobs import jobs_of
from safetax.plan.status import status_of

composer = Composer()
config = composer.job(composer.force(sys.argv[2:])).config
found = plan([(Resolver(lenient=True).resolve(config), ())])
status = status_of(found, Path(sys.argv[1]))
stages = estimates(status, found.steps)
jobs = jobs_of(found.steps, status.config_of, lambda step: True)
print(json.dumps({
    "problems": problems(status),
    "stages": [[stage.title, stage.place, stage.memory.total, stage.time] for stage in stages.stages],
    "downloads": stages.downloads,
    "gpus": [[job.kind, job.title, job.resources.gpus] for job in jobs],
}))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a copy of safetax says of a run with three components that only their own files know."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("safetax", "conf"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FILES.items():
        assert not (copy / name).exists()
        (copy / name).write_text(text.lstrip("\n"), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(copy), "HF_HUB_OFFLINE": "1", "HF_HOME": str(copy / "hf")}
    environment.pop("HF_TOKEN", None)
    chosen = ["+experiment=s1", "judge=strict", "engine=slow", "dataset=scraped", "epochs=1", "runtime.gpus=null"]
    command = [sys.executable, "-c", ASKED, str(copy / "outputs"), *chosen]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def the_one(lines: list[Any], start: str) -> Any:
    matching = [
        line for line in lines if (line if isinstance(line, str) else " ".join(map(str, line))).startswith(start)
    ]
    assert len(matching) == 1, lines
    return matching[0]


def test_a_judge_is_one_file_and_one_yaml(found: dict[str, Any]) -> None:
    assert "'strict_guard'" in the_one(found["problems"], "judge.kind=strict needs the library")
    assert "is gated" in the_one(found["problems"], "judge.strict.weights=nobody/strict-70b: nobody/strict-70b")
    _, place, memory, time = the_one(found["stages"], "judge: strict (70.0 billion parameters)")
    assert place == "a copy on each GPU, bfloat16" and memory > 140e9 and "of at most 2,048 tokens" in time
    assert found["downloads"]["nobody/strict-70b"] == 140e9
    judged = {gpus for kind, title, gpus in found["gpus"] if kind == "score" and "strict" in title}
    assert judged == {1}


def test_an_engine_is_one_file_and_one_yaml(found: dict[str, Any]) -> None:
    assert "'slow_engine'" in the_one(found["problems"], "engine.precision=float32 needs the library")
    title, place, _, _ = the_one(found["stages"], "evaluation: ")
    assert "by slow" in title and place == "1 copy on 1 GPU, float32"
    assert {gpus for kind, _, gpus in found["gpus"] if kind == "generate"} == {1}


def test_a_data_set_is_one_file_and_one_yaml(found: dict[str, Any]) -> None:
    assert "'scraper'" in the_one(found["problems"], "dataset.kind=scraped needs the library")
    assert "is gated" in the_one(found["problems"], "origin=nobody/scraped: nobody/scraped")
    assert "123,456 rows of 77 tokens (assumed)" in the_one(found["stages"], "alignment: ")[3]


def test_each_step_says_which_modules_and_servers_it_needs() -> None:
    session = Session(Console(file=io.StringIO()))
    overrides = [
        "alignment.lora={rank:4}",
        "runtime.zero=2",
        "engine=openai",
        "engine.model=served",
        "judge=strongreject",
    ]
    plan = session.plan(Composer().jobs(overrides, multirun=False))
    needed: dict[str, set[tuple[str, str]]] = {}
    for step in plan.steps:
        needed.setdefault(step.kind, set()).update([*libraries(step), *servers(step)])
    assert {("deepspeed", "runtime.zero=2"), ("peft", "lora.rank=4")} <= needed["train"]
    assert ("default", "engine.endpoint=default") in needed["generate"]
    assert ("default", "endpoint=default of judge rubric") in needed["score"]
    assert ("lm_eval", "dataset.kind=lm_eval_task") in needed["prepare"], needed["prepare"]
    assert all(needs_of_step(step).served_model is None for step in plan.steps), "a server holds the model"


def test_a_repository_is_gated_where_the_model_says_so_and_none_where_it_is_a_folder(tmp_path: Path) -> None:
    session = Session(Console(file=io.StringIO()), Resolver(lenient=True))

    def named(model: str) -> set[tuple[str, bool, str]]:
        overrides = ["model=qwen3-0.6b", "model.gated=true", f"model.id={model}", "model.revision=" + "0" * 40]
        plan = session.plan(Composer().jobs(overrides, multirun=False))
        asked = {each for run in plan.runs for step in run.steps for each in repositories(step, run.config)}
        return {(each.id, each.gated, each.setting) for each in asked if each.kind == "model"}

    assert named("nobody/gated") == {("nobody/gated", True, "model.id=nobody/gated")}
    assert named(str(save_tiny(tmp_path, "qwen3"))) == set()
