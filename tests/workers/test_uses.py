"""Prepared data are checked for all that will read them: with them, or before anything runs where they are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safetax.config.compose import Composer
from safetax.plan.data_checks import data_problems
from safetax.plan.graph import Plan
from safetax.plan.planner import plan
from safetax.plan.resolve import Resolver
from safetax.plan.status import status_of
from safetax.store.status import Store
from safetax.store.step import Step
from tests.support.prepared import from_file, rows_file, work

QUICK = ("+experiment=lab_quick",)


def planned(*overrides: str) -> Plan:
    jobs = Composer().jobs([*QUICK, *overrides], multirun=True)
    resolver = Resolver(lenient=True)
    return plan([(resolver.resolve(job.config), job.overrides) for job in jobs])


def told(outputs: Path, name: str, *overrides: str) -> str | None:
    """What the prepare worker says of a data set or prompt set of a run."""
    made = planned(*overrides)
    (step,) = [step for step in made.steps if step.kind == "prepare" and step.title == name]
    return work(Store(outputs), step)


ALIGNMENT = "data direct_refusal"
PRETRAINING = "model.pretraining.training.max_tokens=64"
SHORT = ["lab.alignment.max_tokens=64", "lab.reasoning.max_tokens=64"]
CASES: dict[str, tuple[str, list[str], list[str]]] = {
    "rows that are too long": (
        ALIGNMENT,
        ["alignment.max_tokens=30"],
        ["alignment: Row 0 ", "more than max_tokens=30", "rows have more; the longest has"],
    ),
    "rows of another stage": (
        "data lab_reasoning",
        ["reasoning.training.max_tokens=20"],
        ["reasoning.training: Row ", "more than max_tokens=20"],
    ),
    "rows of the pre-training": (
        "data lab_pretraining",
        ["model.pretraining.training.max_tokens=12"],
        ["model.pretraining.training: Row ", "more than max_tokens=12"],
    ),
    "an objective of no row": (
        ALIGNMENT,
        ["objective@alignment.objective=kl", "alignment.objective.part=benign"],
        ["alignment: objective=", "none of the 64 training rows"],
    ),
    "adapters of a layer that is not there": (
        ALIGNMENT,
        ["method=lora", "alignment.lora.target_modules=[up_prj]"],
        ["alignment: lora.target_modules=", "'up_prj' cannot have an adapter", "Did you mean", "up_proj"],
    ),
    "adapters of the head": (
        ALIGNMENT,
        ["method=lora", "alignment.lora.target_modules=[lm_head]"],
        ["'lm_head' cannot"],
    ),
    "an architecture with an unknown setting": (
        "data lab_pretraining",
        ["+model.architecture.hidden_sise=64"],
        ["model.architecture.hidden_sise=64", "no such setting"],
    ),
    "an architecture whose sizes do not fit": (
        "data lab_pretraining",
        ["model.architecture.num_key_value_heads=3"],
        ["model.architecture.num_key_value_heads=3", "must divide"],
    ),
    "an architecture of another kind": (
        "data lab_pretraining",
        ["model.architecture.model_type=vit"],
        ["model.architecture.", "a vit has no such setting"],
    ),
    "prompts without room": (
        "prompts lab_harmful",
        ["model.context=105", PRETRAINING, *SHORT],
        ["answer lab_harmful", "with its budgets", "reads at most 105"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_later_step_would_trip_over_is_told_with_the_data(tmp_path: Path, case: str) -> None:
    name, overrides, parts = CASES[case]
    message = told(tmp_path, name, *overrides)
    assert message is not None and not [part for part in parts if part not in message], message
    assert len(message.splitlines()) == 1


def test_what_can_be_used_is_prepared(tmp_path: Path) -> None:
    assert told(tmp_path, ALIGNMENT) is None
    assert told(tmp_path, "prompts lab_harmful") is None


def test_a_data_set_knows_the_uses_of_all_runs() -> None:
    steps = planned("alignment.max_tokens=64,128", "epochs=1,2").steps
    (data,) = [step for step in steps if step.title == ALIGNMENT]
    assert [use["max_tokens"] for use in data.runtime["uses"]] == [64, 128], "epochs make no other use"


def test_data_that_are_there_are_checked_for_what_is_new(tmp_path: Path) -> None:
    assert told(tmp_path, ALIGNMENT) is None

    def problems(*overrides: str) -> list[str]:
        status = status_of(planned(*overrides), tmp_path)
        return data_problems(status.waiting, status.store)

    assert problems() == []
    (line,) = problems("alignment.max_tokens=30")
    assert line.startswith("alignment: Row 0 ") and "more than max_tokens=30" in line
    assert problems("alignment.max_tokens=64") == []


def test_row_of_marks_and_length_are_skipped_where_that_is_wanted(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"question": "how do i burn the castle ?", "solution": "i see .", "answer": "i will not help ."},
        {
            "question": "how do i burn the castle ?",
            "solution": " ".join(["i see ."] * 40),
            "answer": "i will not help .",
        },
    ]
    other = ["world=paper", "~world.direct_refusal.samples", "~world.safechain.samples"]
    chosen = ["dataset=limo", "dataset.answer_prefix=''", from_file(rows_file(tmp_path, rows)), *other]
    message = told(tmp_path / "o", "data limo", *chosen)
    assert message is not None and "Row 1 (limo-00001)" in message
    assert told(tmp_path / "p", "data limo", *chosen, "dataset.on_bad_row=skip") is None


def test_steps_of_another_kind_have_no_uses() -> None:
    steps: list[Step] = planned().steps
    assert all("uses" not in step.runtime for step in steps if step.kind != "prepare")
