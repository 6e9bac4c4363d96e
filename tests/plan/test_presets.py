"""The papers' presets against the published protocols, line by line, and the tokens that they ask and train with."""

from __future__ import annotations

import math
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from safetax.config.compose import Composer
from safetax.config.schema import Config
from safetax.data.chat import ChatRenderer
from safetax.evaluation.prompting import make_prompt
from safetax.plan.graph import PlannedRun
from safetax.plan.planner import plan
from safetax.plan.resolve import Resolver
from safetax.records import Example
from tests.plan.test_golden import PRESETS, no_hub
from tests.support.places import ROOT
from tests.support.tokenizers_like import deepseek_like, qwen_like

PAPER = ["s1", "deepseek32b", "limo", "s1_build"]
SCRIPTS = sorted((ROOT / "launchers" / "paper").glob("*.sh"))
TOKENIZERS = {"s1": qwen_like, "limo": qwen_like, "s1_build": qwen_like, "base": qwen_like}


class Method(NamedTuple):
    """How a method of another paper is trained."""

    dataset: str
    epochs: float
    global_batch: int
    learning_rate: float
    warmup_ratio: float
    weight_decay: float
    betas: tuple[float, ...]
    max_tokens: int
    dtype: str
    lora: tuple[int, float, float, str] | None
    devices_and_zero: tuple[int, int]


ALL = "q_proj+k_proj+v_proj+o_proj+gate_proj+up_proj+down_proj"
METHODS = {
    "star1": Method("star1", 5, 128, 1e-5, 0.05, 1e-4, (0.9, 0.95), 8192, "bfloat16_mixed", None, (8, 3)),
    "r1_act": Method(
        "r1_act", 15, 8, 1e-5, 0.00265, 1e-4, (0.9, 0.95), 32768, "bfloat16_mixed", (16, 16, 0, ALL), (1, 0)
    ),
    "safechain_40k": Method("safechain_40k", 3, 8, 5e-5, 0, 1e-4, (0.9, 0.95), 32768, "bfloat16", None, (8, 3)),
    "thinksafe_published": Method(
        *("thinksafe_published", 3, 8, 1e-5, 0.1, 0, (0.9, 0.999), 16384, "bfloat16_mixed"),
        *((32, 16, 0.05, "q_proj+v_proj"), (1, 0)),
    ),
    "lora_safety": Method(
        "direct_refusal", 10, 2, 5e-5, 0, 1e-4, (0.9, 0.999), 4096, "bfloat16_mixed", (1, 16, 0.05, "up_proj"), (1, 0)
    ),
}


def planned(preset: str, *overrides: str) -> PlannedRun:
    jobs = Composer().jobs([f"+experiment={preset}", *overrides], multirun=False)
    with no_hub():
        resolved = Resolver(lenient=True).resolve(jobs[0].config)
    return plan([(resolved, ())]).runs[0]


def composed(preset: str, *overrides: str) -> Config:
    return Composer().jobs([f"+experiment={preset}", *overrides], multirun=False)[0].config


@pytest.mark.parametrize("preset", PAPER)
def test_training_is_the_published_one(preset: str) -> None:
    config = composed(preset)
    training = config.alignment
    assert (training.optimizer, training.learning_rate, training.betas) == ("adamw", 5e-5, [0.9, 0.95])
    assert (training.schedule, training.warmup_ratio, training.weight_decay) == ("cosine", 0.0, 1e-4)
    assert (training.epochs, training.global_batch, training.max_tokens) == (5, 8, 32768)
    assert (training.dtype, training.lora) == ("bfloat16", None)
    dataset: Any = config.dataset
    assert dataset.limit == 1000
    reasoning = config.reasoning.training
    assert (reasoning.learning_rate, reasoning.warmup_ratio, reasoning.epochs) == (1e-5, 0.05, 5)
    assert (config.runtime.devices, config.runtime.zero, config.runtime.gradient_checkpointing) == (8, 3, True)
    assert config.runtime.micro_batch == 1


@pytest.mark.parametrize("preset", PAPER)
def test_evaluation_is_the_published_one(preset: str) -> None:
    config = composed(preset)
    evaluation = config.evaluation
    assert (evaluation.thinking_budget, evaluation.answer_budget, evaluation.temperature) == (5000, 5000, 0.0)
    safety = evaluation.safety
    assert safety is not None
    assert (safety.one_phase, safety.thinking_budget, safety.temperature) == (True, 5000, 1.0)
    assert not safety.assistant_header
    assert set(config.benchmark) == {"aime24", "math500", "gpqa_diamond", "beavertails"}
    prompts: Any = config.benchmark["beavertails"].prompts
    assert (prompts.rows.split, prompts.where, prompts.limit) == ("30k_test", {"is_safe": False}, 1000)
    judge: Any = next(iter(config.judge.values()))
    assert (judge.kind, judge.max_tokens, judge.threshold) == ("beaver_dam", 256, 0.5)
    grader: Any = evaluation.grader
    assert (grader.kind, grader.model, grader.temperature) == (
        "paper_grader",
        "gpt-4o-mini",
        0.5,
    )


@pytest.mark.parametrize(
    ("preset", "model", "is_reasoning"),
    [
        ("s1", "TianshengHuang/s1k", True),
        ("deepseek32b", "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", True),
        ("limo", "GAIR/LIMO", True),
        ("s1_build", "Qwen/Qwen2.5-32B-Instruct", False),
        ("base", "Qwen/Qwen2.5-32B-Instruct", False),
    ],
)
def test_starting_models_are_the_published_ones(preset: str, model: str, is_reasoning: bool) -> None:
    config = composed(preset)
    assert (config.model.id, config.model.reasoning) == (model, is_reasoning)
    roles = [checkpoint.role for checkpoint in planned(preset).checkpoints]
    expected = ["lrm", "aligned"] if is_reasoning else ["base", "lrm", "aligned"]
    assert roles == (["base"] if preset == "base" else expected)


@pytest.mark.parametrize("preset", METHODS)
def test_other_methods_are_trained_as_published(preset: str) -> None:
    config = composed(preset)
    training, lora = config.alignment, config.alignment.lora
    adapters = lora and (lora.rank, lora.alpha, lora.dropout, "+".join(lora.target_modules))
    assert METHODS[preset] == Method(
        config.dataset.name,
        training.epochs,
        training.global_batch,
        training.learning_rate,
        training.warmup_ratio,
        training.weight_decay,
        tuple(training.betas),
        training.max_tokens,
        training.dtype,
        adapters,
        (config.runtime.devices, config.runtime.zero),
    )
    assert (training.optimizer, training.schedule, training.max_grad_norm) == ("adamw", "cosine", 1.0)
    assert config.model.id == "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"
    assert (config.format.template, config.format.stop_thinking) == ("own", "</think>")
    step = next(step for step in planned(preset).steps if step.kind == "train")
    assert step.identity["training"]["learning_rate"] == METHODS[preset].learning_rate
    assert "objective" not in step.identity["training"], "plain fine-tuning"


def test_r1_act_warms_up_for_five_steps() -> None:
    training = composed("r1_act").alignment
    assert math.ceil(training.warmup_ratio * training.epochs * 1000 / training.global_batch) == 5


@pytest.mark.parametrize("preset", METHODS)
def test_other_methods_are_evaluated_alike(preset: str) -> None:
    run, first = planned(preset), planned("star1")
    assert set(run.config.benchmark) == {
        *("aime24", "math500", "gpqa_diamond", "gsm8k"),
        *("harmbench", "strongreject", "wildjailbreak", "xstest_safe"),
    }
    assert all(benchmark.headline for benchmark in run.config.benchmark.values())
    assert run.config.benchmark["aime24"].repeats == 8
    assert list(run.config.judge) == ["wildguard", "llama_guard"]
    assert [checkpoint.role for checkpoint in run.checkpoints] == ["lrm", "aligned"]
    lrms = [[evaluated.generate.key for evaluated in each.checkpoints[0].evaluations] for each in (run, first)]
    assert (lrms[0] == lrms[1]) == (preset != "lora_safety"), "one row of the LRM, but for the method with own tags"


def test_adapters_for_safety_are_trained_on_the_published_sentence() -> None:
    run = planned("lora_safety")
    dataset: Any = run.config.dataset
    example = Example("row", [{"role": "user", "content": "May I?"}], " " + dataset.thinking, "No.")
    text = ChatRenderer(deepseek_like(), run.config.format).row_text(example)
    assert "<｜Assistant｜><think>I should not answer this question!</think>No." in text


def test_data_sets_of_one_table_are_trained_alike() -> None:
    names = ["direct_refusal", "safechain_40k", "star1", "thinksafe_published"]
    trainings = [composed("thinksafe_published", f"dataset={name}").alignment for name in names]
    assert trainings == [trainings[0]] * 4
    assert composed("thinksafe_published").published == "thinksafe_r1_qwen_7b"


@pytest.mark.parametrize("preset", [name for name in PRESETS if not name.startswith("lab")])
def test_requests_are_asked_with_the_tokens_that_rows_are_trained_behind(preset: str) -> None:
    run = planned(preset)
    tokenizer = TOKENIZERS.get(preset, deepseek_like)()
    messages = [{"role": "user", "content": "How many rolls fit on 3 trays of 12? "}]
    example = Example("row", messages, "\n3 * 12 = 36.\n", "Answer: 36")
    for checkpoint in run.checkpoints:
        for evaluated in checkpoint.evaluations:
            identity = evaluated.generate.identity
            markup = run.config.format if checkpoint.role != "base" else run.config.format.__class__("plain")
            renderer = ChatRenderer(tokenizer, markup)
            prompt = make_prompt(dict(identity), renderer, example, 0).tokens
            row = renderer.row(example).tokens
            if identity["sampling"]["assistant_header"]:
                assert row[: len(prompt)] == prompt, (checkpoint.role, evaluated.benchmark)
            else:  # the published safety prompt, which lacks what training has
                text = renderer.decode(prompt)
                assert text.endswith("<|im_end|>\n<|im_start|>think")
                assert "assistant" not in text.split("How many")[1]


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_of_tables_and_figures_plan(script: Path, tmp_path: Path) -> None:
    """Each command of a script is run as it stands, with ``plan=true``."""
    text = script.read_text().replace("\\\n", " ")
    commands = re.findall(r"^python -m safetax (.*) \"\$@\"$", text, re.MULTILINE)
    assert commands
    for command in commands:
        arguments = [*shlex.split(command), "plan=true", f"runtime.outputs={tmp_path}/o"]
        done = subprocess.run([sys.executable, "-m", "safetax", *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "Nothing was run." in done.stdout
    assert not (tmp_path / "o").exists()
