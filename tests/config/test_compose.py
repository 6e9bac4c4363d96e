"""Overrides to jobs: choices, sweeps, entries that are added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from safetax.config.compose import Composer
from tests.support.composing import EPOCHS, message


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer()


@pytest.mark.parametrize("group", ["model", "format", "stage", "dataset", "engine", "evaluation", "runtime", "world"])
def test_an_unknown_choice_names_the_choices(composer: Composer, group: str) -> None:
    options = composer.loader.options(group)
    text = message(composer, f"{group}=nosuch")
    assert text == f"{group}=nosuch: there is no such choice. Allowed are {', '.join(options)}."
    for option in options:
        expected = (
            f"{group}={option}x: there is no such choice. Did you mean {option}? Allowed are {', '.join(options)}."
        )
        assert message(composer, f"{group}={option}x") == expected
    for choice in ("null", "''", "5", "true"):
        assert "there is no such choice" in message(composer, f"{group}={choice}")


@pytest.mark.parametrize("group", ["benchmark", "judge"])
def test_an_unknown_choice_in_a_list_names_the_choices(composer: Composer, group: str) -> None:
    first = composer.loader.options(group)[0]
    assert message(composer, f"{group}=[{first},nosuch]").startswith(f"{group}=nosuch: there is no such choice.")
    assert f"Did you mean {first}?" in message(composer, f"{group}=[{first[:-1]}]")
    assert message(composer, f"{group}=[]").startswith(f"{group}=[] leaves")
    assert message(composer, f"{group}=null").startswith(f"{group}=null: there is no such choice.")


@pytest.mark.parametrize(
    "text", ["", "foo", "=3", "+", "~", "a b=c", "epochs =3", "epochs=[1", "epochs={a:", "epochs=${seed"]
)
def test_what_is_no_override_is_told_how_to_write_one(composer: Composer, text: str) -> None:
    told = message(composer, text)
    assert told.startswith(f"{text or repr(text)}: this is no override.")
    assert "Write key=value" in told or "close every bracket and quote" in told
    assert "EOF" not in told and "viable" not in told


@pytest.mark.parametrize("text", ["epochs=1,2", "epochs=range(0,3)", "dataset=glob(*)", "model=lab,other"])
def test_a_sweep_without_its_flag_is_told_of_it(composer: Composer, text: str) -> None:
    assert message(composer, text) == f"{text} names several values, which needs a sweep: add -m."


@pytest.mark.parametrize(
    "text", ["epochs=interval(0,1)", "epochs=range(0,0)", "epochs=range(0,3,0)", "dataset=glob(x*)"]
)
def test_a_sweep_over_nothing_is_refused(composer: Composer, text: str) -> None:
    assert message(composer, text, multirun=True).startswith(f"{text}: this names no values to run")


def test_a_mistake_in_one_job_of_a_sweep_is_found(composer: Composer) -> None:
    assert message(composer, "epochs=1,abc", multirun=True) == f"epochs=abc: {EPOCHS}"
    assert "Did you mean safechain?" in message(composer, "dataset=direct_refusal,safchain", multirun=True)


def test_new_entries_are_added_with_a_plus(composer: Composer) -> None:
    [job] = composer.jobs(["+model.architecture.hiden_size=3"], multirun=False)
    assert job.config.model.architecture["hiden_size"] == 3
    [job] = composer.jobs(["model.architecture.attention_bias=true"], multirun=False)
    assert job.config.model.architecture["attention_bias"] is True


def test_a_dictionary_is_merged_into_the_node_of_a_group(composer: Composer) -> None:
    [job] = composer.jobs(["model={name:mine}"], multirun=False)
    assert job.config.model.name == "mine"
    assert job.config.model.architecture["model_type"] == "qwen3"
    assert message(composer, "model={nam:mine}").startswith("model.nam=mine: there is no such key.")


def test_jobs_of_a_sweep_are_what_each_would_be_alone(composer: Composer) -> None:
    """What jobs share is composed once; nothing leaks from one to the next."""
    sweep = [
        "dataset=direct_refusal,self_generated",
        "seed=1,2",
        "lrm_seed=${seed}",
        "judge.lab.world_seed=4",
    ]
    for job in composer.jobs([*sweep, "~benchmark.lab_benign"], multirun=True):
        [alone] = Composer().jobs(job.overrides, multirun=False)
        assert alone == job
        assert job.config.lrm_seed == job.config.seed
    [default] = composer.jobs([], multirun=False)
    assert "lab_benign" in default.config.benchmark


def test_jobs_of_a_sweep_share_the_sections_that_are_equal() -> None:
    """So that memory grows with what differs, not with the number of jobs."""
    first, second = (job.config for job in Composer().jobs(["tracking=off,mlflow"], multirun=True))
    assert first.tracking != second.tracking
    for name in ("model", "format", "dataset", "reasoning", "alignment", "runtime", "world", "judge", "evaluation"):
        assert getattr(first, name) is getattr(second, name), name
    assert first.benchmark is second.benchmark


def test_what_is_being_composed_can_be_followed() -> None:
    seen: list[str] = []

    def counted(items: Sequence[Any], what: str) -> Iterator[Any]:
        for index, item in enumerate(items):
            seen.append(f"{index} of {len(items)} {what}")
            yield item

    assert len(Composer().jobs(["seed=1,2,3"], True, counted)) == 3
    assert seen == ["0 of 3 jobs composed", "1 of 3 jobs composed", "2 of 3 jobs composed"]


def test_a_preset_that_is_narrowed_sets_nothing_of_what_is_not_chosen(composer: Composer) -> None:
    (job,) = composer.jobs(["+experiment=lab_quick", "benchmark=[lab_reasoning]"], False)
    assert list(job.config.benchmark) == ["lab_reasoning"]
    (whole,) = composer.jobs(["+experiment=lab_quick"], False)
    assert job.config.benchmark["lab_reasoning"] == whole.config.benchmark["lab_reasoning"]


@pytest.mark.parametrize(
    ("choice", "assigned", "remedy"),
    [
        (
            "benchmark=[lab_reasoning]",
            "benchmark.lab_harmful.prompts.samples=3",
            "benchmark=[lab_reasoning,lab_harmful]",
        ),
        ("judge=[lab]", "judge.llama_guard.engine=vllm", "judge=[lab,llama_guard]"),
    ],
)
def test_a_value_of_what_is_not_chosen_is_refused(composer: Composer, choice: str, assigned: str, remedy: str) -> None:
    told = message(composer, "+experiment=lab_quick", choice, assigned)
    assert told.startswith(f"{assigned}: the ") and "is not chosen; chosen are " in told and remedy in told
