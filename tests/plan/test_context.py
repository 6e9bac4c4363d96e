"""Budgets and rows that are longer than the model can read are refused at planning."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safetax.config.compose import Composer
from safetax.config.schema import Model
from safetax.errors import ConfigError
from safetax.plan.context import context_of
from safetax.plan.resolve import Resolver


def resolve(*overrides: str) -> None:
    [job] = Composer().jobs(overrides, multirun=False)
    Resolver().resolve(job.config)


@pytest.mark.parametrize(
    "override",
    [
        "evaluation.thinking_budget=513",
        "evaluation.answer_budget=1000",
        "evaluation.safety={thinking_budget:600,answer_budget:8}",
        "alignment.max_tokens=600",
        "reasoning.training.max_tokens=513",
        "model.architecture.max_position_embeddings=100",
    ],
)
def test_what_is_longer_than_the_models_context_is_refused(override: str) -> None:
    with pytest.raises(ConfigError) as raised:
        resolve(override)
    context = override.rpartition("=")[2] if "architecture" in override else "512"
    assert f"the model lab reads at most {context} tokens (model.context)" in str(raised.value)
    key = "evaluation.safety.thinking_budget" if "safety" in override else override.partition("=")[0]
    assert "architecture" in override or str(raised.value).startswith(f"{key}=")


def test_on_policy_data_have_budgets_too() -> None:
    with pytest.raises(ConfigError, match=r"dataset\.thinking_budget=600: the model lab reads at most 512"):
        resolve("dataset=self_generated", "dataset.thinking_budget=600")


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["evaluation.thinking_budget=481"],
            "evaluation.thinking_budget=481 and evaluation.answer_budget=32, together 513: the model lab reads",
        ),
        (
            ["evaluation.safety={thinking_budget:500,answer_budget:500}"],
            "evaluation.safety.thinking_budget=500 and evaluation.safety.answer_budget=500, together 1000: ",
        ),
        (
            ["dataset=self_generated", "dataset.answer_budget=500"],
            "dataset.thinking_budget=72 and dataset.answer_budget=500, together 572: ",
        ),
        (
            ["dataset=self_generated", "dataset.thinking_budget=null", "dataset.answer_budget=500"],
            "evaluation.thinking_budget=72 and dataset.answer_budget=500, together 572: ",
        ),
        (
            ["dataset=thinksafe", "dataset.parts.benign.answer_budget=500"],
            "dataset.parts.benign.thinking_budget=72 and dataset.parts.benign.answer_budget=500, together 572: ",
        ),
    ],
)
def test_thinking_and_answer_must_fit_together(overrides: list[str], told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        resolve(*overrides)
    assert str(raised.value).startswith(told)


def test_what_fits_or_is_not_used_is_taken() -> None:
    resolve("evaluation.thinking_budget=480", "evaluation.answer_budget=32")
    resolve("evaluation.thinking_budget=500", "evaluation.answer_budget=32", "evaluation.one_phase=true")
    resolve("evaluation=lab_no_thinking", "evaluation.answer_budget=512")
    resolve("evaluation.thinking_budget=500", "benchmark=[lab_reasoning_no_thinking]")
    resolve("alignment.max_tokens=600", "stage=reasoning")
    resolve("evaluation.thinking_budget=600", "model.context=1000")


def test_a_folder_says_its_context_unless_it_is_stretched(tmp_path: Path) -> None:
    model = Model("mine", id=str(tmp_path))
    assert context_of(model) is None
    for values, expected in (
        ({"max_position_embeddings": 4096}, 4096),
        ({"max_position_embeddings": 4096, "rope_scaling": {"type": "yarn", "factor": 4.0}}, None),
        ({"max_position_embeddings": "many"}, None),
    ):
        (tmp_path / "config.json").write_text(json.dumps(values))
        assert context_of(model) == expected
