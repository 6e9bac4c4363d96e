"""What fits the lab alone reaches no model of another world unless somebody chose it."""

from __future__ import annotations

from functools import cache

import pytest

from safetax.config.compose import Composer
from safetax.config.hydra import conf_directory
from safetax.config.lab_defaults import check_lab_defaults
from safetax.errors import ConfigError

MODELS = sorted(path.stem for path in (conf_directory() / "model").glob("*.yaml"))
PRESETS = sorted(path.stem for path in (conf_directory() / "experiment").glob("[!_]*.yaml"))
BUDGETS = ("evaluation.thinking_budget", "evaluation.answer_budget")
TRAINED = ("alignment.learning_rate=1e-5", "alignment.max_tokens=4096")


@cache
def composer() -> Composer:
    return Composer()


LAB = composer().jobs([], multirun=False)[0].config


def check(*overrides: str) -> None:
    for job in composer().jobs(overrides, multirun=True):
        check_lab_defaults(job.config, composer().lab_defaults[job.overrides])


def refusal(*overrides: str) -> str:
    with pytest.raises(ConfigError) as raised:
        check(*overrides)
    return str(raised.value)


@pytest.mark.parametrize("model", [name for name in MODELS if name != "lab"])
def test_a_real_model_alone_is_refused(model: str) -> None:
    told = refusal(f"model={model}")
    rate = f"alignment.learning_rate={LAB.alignment.learning_rate:g}"
    for key in (*BUDGETS, f"{rate},", "alignment.max_tokens=128", "+experiment=single_80gb"):
        assert key in told
    trained = f"reasoning.training.learning_rate={LAB.reasoning.training.learning_rate:g}" in told
    assert trained == (not composer().jobs([f"model={model}"], multirun=False)[0].config.model.reasoning)


def test_the_lab_takes_its_own() -> None:
    check()
    check("stage=original", "epochs=0.5", "evaluation.thinking_budget=8")


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_chosen_all(preset: str) -> None:
    check(f"+experiment={preset}")


@pytest.mark.parametrize("preset", ["single_24gb", "single_80gb"])
def test_a_preset_goes_with_other_models(preset: str) -> None:
    check(f"+experiment={preset}", "model=qwen3-0.6b")


def test_keys_and_options_that_are_set_are_chosen() -> None:
    real = ("model=qwen3-0.6b",)
    assert "alignment" not in refusal(*real, *TRAINED)
    assert "evaluation" not in refusal(*real, "evaluation=sound").partition("(evaluation=sound")[0]
    check(*real, *TRAINED, "evaluation=sound")
    check(*real, *TRAINED, *(f"{key}=64" for key in BUDGETS))
    check(
        *real, "evaluation=sound", f"alignment.learning_rate={LAB.alignment.learning_rate}", "alignment.max_tokens=128"
    )  # the lab's, but chosen
    check(*real, *TRAINED, "evaluation=lab")
    told = refusal("model=qwen2.5-32b-instruct", *TRAINED, "evaluation=sound")
    assert f"reasoning.training.muon_learning_rate={LAB.reasoning.training.muon_learning_rate:g}" in told


def test_what_no_step_depends_on_is_nobodys_business() -> None:
    check("model=qwen3-0.6b", "evaluation=sound", "stage=original")
    check("model=qwen3-0.6b", "evaluation=sound", "epochs=0")
    check("model=qwen3-0.6b", "stage=prepare")
    check("model=qwen3-0.6b", "stage=prefetch")
    assert all(key in refusal("model=qwen3-0.6b", "stage=original") for key in BUDGETS)


def test_budgets_of_data_that_the_model_writes_count_too() -> None:
    chosen = ("model=qwen3-0.6b", *TRAINED, "evaluation=sound", "method=dgr_direct_refusal")
    assert "dataset.thinking_budget=72" in refusal(*chosen)
    check(*chosen, "recipes=paper", "world=paper")
    check(*chosen, "recipes=lab")
