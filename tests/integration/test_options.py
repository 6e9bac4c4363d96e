"""Every option that ``conf/`` offers is run through the command, against its real or a served counterpart.

Rows and models come from a stand-in of the hub under their published names, what asks a model behind a server asks a
real HTTP server. The options are listed from ``conf/``: one that no command runs fails the first test.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from safetax.config.compose import Composer
from safetax.config.hydra import conf_directory
from safetax.records import Response, read_records
from safetax.store.manifest import read_json
from tests.integration.test_slurm import COMMAND as SLURM
from tests.support.hub_stand_in import Hub, running
from tests.support.llm_server import Answer, Server, plain, serving, subject
from tests.support.places import ROOT
from tests.support.published import put_everything

GROUPS = ("benchmark", "dataset", "engine", "evaluation", "format", "hydra/launcher", "judge", "model", "objective")
NAMES = {group: sorted(path.stem for path in (conf_directory() / group).glob("*.yaml")) for group in GROUPS}
SERVED = [name for name in NAMES["model"] if name != "lab"]

# A tiny model under a large one's name: what is known of its size is not true of it.
TINY = ("model.parameters=null", "model.shape=null", "model.context=null")
SHORT = ("evaluation.thinking_budget=8", "evaluation.answer_budget=8")
PAPER = ("world=paper", "recipes=paper", "dataset@reasoning.dataset=s1k")
QUICK = ("+experiment=lab_quick",)
REASONING = "aime24,math500,gpqa_diamond,gsm8k"
SAFETY = (
    "beavertails,harmbench,jailbreakbench,jailbreakbench_benign,strongreject,wildjailbreak,wildjailbreak_benign,"
    "xstest_safe,xstest_unsafe"
)
# A model after minutes of training closes no thinking and refuses nothing: whatever it writes is let through.
WRITES = (
    *("recipes.sampling.closed=false", "recipes.sampling.tries=1", "recipes.sampling.answer_budget=8"),
    *("recipes.refused=[refusal,compliance,garbled,incorrect]", "recipes.helped=${recipes.refused}"),
    *("recipes.harmful.samples=8", "recipes.benign.samples=8", "world.direct_refusal.samples=8"),
)
SERVER = "http://server:1/v1"
"""Stands for the address of the server."""
ENDPOINT = f"+runtime.endpoints.default={{base_url: '{SERVER}', retries: 0}}"


@cache
def _composer() -> Composer:
    return Composer()


@dataclass(frozen=True)
class Command:
    """A command that runs options, on a copy of the quick lab where it says so."""

    arguments: tuple[str, ...]
    on_lab: bool = False

    @property
    def options(self) -> set[tuple[str, str]]:
        """The options that its jobs are composed of, as group and name."""
        composer, found = _composer(), set()
        multirun = self.arguments[0] == "-m"
        for job in composer.jobs(self.arguments[multirun:], multirun):
            choices = composer.loader.load(composer.force(job.overrides)).hydra.runtime.choices
            found |= {(key.partition("@")[0], str(name)) for key, name in choices.items() if name}
            # What is chosen as a list Hydra does not tell.
            found |= {("judge", name) for name in job.config.judge}
            found |= {("benchmark", name) for name in job.config.benchmark}
        return found


COMMANDS = {
    "rows": Command(
        (
            *("-m", *PAPER, "stage=prepare", "format=s1", "model=deepseek-r1-distill-qwen-1.5b"),
            "dataset=direct_refusal,direct_refusal_published,limo,r1_act,s1k,s1k_published,safechain,safechain_40k,"
            "safechain_published,star1,star_benign_915,thinksafe_published",
        )
    ),
    "models": Command(
        (
            *("-m", *PAPER, *TINY, *SHORT, "stage=original", f"model={','.join(SERVED)}", "judge=[phrases]"),
            *("benchmark=[xstest_unsafe]", "benchmark.xstest_unsafe.prompts.limit=2"),
        )
    ),
    "benchmarks as the paper": Command(
        (
            *(*PAPER, *TINY, *SHORT, "stage=original", "evaluation=paper", "format=s1", "model=s1.1-1.5b", ENDPOINT),
            *("evaluation.safety.thinking_budget=8", "evaluation.safety.answer_budget=8"),
            *(f"benchmark=[{REASONING},{SAFETY}]", "judge=[phrases]"),
        )
    ),
    "benchmarks soundly": Command(
        (
            *(*PAPER, *TINY, *SHORT, "stage=original", "evaluation=sound", "format=plain", "model=qwen3-0.6b"),
            *(f"benchmark=[{REASONING}]", "judge=[]"),
        )
    ),
    "a server for an engine": Command(
        (
            *(*PAPER, *TINY, "stage=original", "evaluation=lab_no_thinking", "model=qwen3-0.6b", ENDPOINT),
            *("engine=openai", "engine.model=m", "benchmark=[xstest_safe]", "judge=[phrases]"),
        )
    ),
    "vllm": Command(
        (
            *(*PAPER, *TINY, *SHORT, "stage=original", "model=deepseek-r1-distill-qwen-1.5b", "judge=[phrases]"),
            *("engine=vllm", "engine.dtype=float32", "engine.enforce_eager=true", "runtime.engine_memory=0.1"),
            *("benchmark=[xstest_safe]", "runtime.isolation=process"),
        )
    ),
    "judges": Command((*QUICK, "stage=original", f"judge=[{','.join(NAMES['judge'])}]", ENDPOINT), on_lab=True),
    "rows of the lab": Command(
        (
            *("-m", *QUICK, "stage=prepare", "dataset.world_seed=1"),
            "dataset=benign,lab_pretraining,lab_reasoning",
        )
    ),
    "mixtures": Command(("-m", *QUICK, "stage=prepare", "dataset=replay,safepath,structure,subset,with_benign")),
    "data that the model writes": Command(
        ("-m", *QUICK, *WRITES, "stage=prepare", "dataset=dgr,thinksafe"), on_lab=True
    ),
    "data that are filtered": Command(
        (
            *(
                *QUICK,
                "stage=prepare",
                "dataset=self_generated",
                "dataset.prompts.samples=24",
                "dataset.answer_budget=8",
            ),
            "dataset.keep=[refusal,compliance,garbled,incorrect]",
        ),
        on_lab=True,
    ),
    "objectives": Command(
        (*QUICK, "epochs=0.25", "dataset=with_benign", "objective@alignment.objective=kl"), on_lab=True
    ),
}
COMPOSED = {**COMMANDS, "slurm, which its own tests run": Command(SLURM)}
MARKED = {"vllm": pytest.mark.vllm}
TEMPLATES = {"judge.wildguard": "chat", "judge.harmbench_cls": "chat"}
"""Judges whose instruction is none of ours, and where it comes from: a model whose chat template holds it."""


def test_every_option_is_run_by_a_command() -> None:
    run = set().union(*(command.options for command in COMPOSED.values()))
    missing = {f"{group}={name}" for group in GROUPS for name in NAMES[group] if (group, name) not in run}
    assert not missing, f"no command of this file runs {sorted(missing)}"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with running() as served:
        put_everything(served, tmp_path_factory.mktemp("models"))
        yield served


def judged(body: dict[str, Any], _: int) -> Answer | None:
    """Answer as a judge that follows its instruction; everything else as the server does."""
    text = subject(body)
    replies = {
        '{"class"': '{"class": "full_refusal"}',
        '{"refusal"': '{"refusal": 0, "convincing": 2, "specific": 1}',
        "Known answers": "-1",
    }
    for sign, reply in replies.items():
        if sign in text:
            status, headers, answer = plain(body)
            answer["choices"][0]["message"]["content"] = reply
            return status, headers, answer
    return None


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as served:
        served.behave = judged
        yield served


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKED.get(name, ())) for name in COMMANDS])
def test_the_command_runs_its_options(
    name: str, hub: Hub, server: Server, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    command, outputs = COMMANDS[name], tmp_path / "outputs"
    if command.on_lab:
        shutil.copytree(request.getfixturevalue("quick_lab"), outputs)
    before = {*outputs.glob("*/*/manifest.json")}
    arguments = [each.replace(SERVER, server.address) for each in command.arguments]
    arguments += [f"{key}.template={value}" for key, value in TEMPLATES.items() if name == "judges"]
    own = {"HF_TOKEN": hub.token, "OPENAI_API_KEY": "none", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "safetax", *arguments, "tracking=off", f"runtime.outputs={outputs}"],
        cwd=tmp_path,
        env=hub.environment(tmp_path / "hub") | own,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    counted = re.search(r"(\d+) steps executed", done.stdout)
    made = [path for path in outputs.glob("*/*/manifest.json") if path not in before]
    assert counted and int(counted[1]) == len(made) > 0, done.stdout
    for path in made:
        _check_step(path)
    if "engine=openai" in command.arguments:
        assert any("prompt" in body for body in server.seen), "the engine asked the server"


def _check_step(path: Path) -> None:
    """Look at what a step left: rows, whole responses, and verdicts that are no errors."""
    manifest = read_json(path)
    assert manifest is not None
    summary = manifest["summary"]
    if manifest["kind"] == "prepare":
        empty = manifest["title"].startswith("own traces of ")  # of a model that solves none
        assert summary["examples"] > 0 or empty, manifest["title"]
    elif manifest["kind"] == "generate":
        assert len(read_records(path.with_name("responses.jsonl"), Response)) == summary["responses"] > 0
    elif manifest["kind"] == "score":
        verdicts = [json.loads(line) for line in path.with_name("verdicts.jsonl").read_text().splitlines()]
        assert verdicts and not [each["error"] for each in verdicts if each["error"]], manifest["title"]
    elif manifest["kind"] == "train":
        assert any(output.endswith(".safetensors") for output in manifest["outputs"]), manifest["title"]
