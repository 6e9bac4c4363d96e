"""Where steps come from, what trainings cost, and which data stand behind results."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetax.results.collect import collect
from safetax.results.document import Results
from safetax.results.provenance import COLUMNS, data_sets, mean_costs, training_costs


def test_each_training_costs_once_and_says_what_is_known(paper_outputs: Path) -> None:
    collected = collect([paper_outputs])
    rows = collected.provenance["training"]
    trained = {step for step in collected.provenance["steps"] if step.startswith("train/")}
    assert [tuple(row) for row in rows] == [COLUMNS] * len(trained)
    assert (
        {row["step"] for row in rows}
        == trained
        >= {f"train/{each.weights}" for each in collected.results.checkpoints if each.role == "aligned"}
    )
    row = next(row for row in rows if (row["dataset"], row["epochs"]) == ("safechain", 5.0))
    assert (row["seconds"], row["device_hours"], row["devices"], row["zero"]) == (28750.0, 63.888889, 8, 3)


def test_weights_between_two_models_cost_the_training_of_one(few: Results) -> None:
    checkpoint = next(each for each in few.checkpoints if each.role == "aligned")
    merged = {
        f"merge/{checkpoint.weights}": {"inputs": {"model": {"step": "train/one"}}, "summary": {}},
        "train/one": {"summary": {"tokens_per_second": 10.0}, "provenance": {"seconds": 7.0}},
    }
    (row,) = training_costs([checkpoint, checkpoint], merged)
    assert (row["step"], row["seconds"], row["tokens"], row["devices"], row["mfu"]) == ("train/one", 7.0, 70, 1, None)


def test_seeds_are_averaged_and_what_one_lacks_is_not_known() -> None:
    row = dict.fromkeys(COLUMNS) | {"dataset": "a", "seconds": 10.0, "devices": 8, "device": "H200"}
    (mean,) = mean_costs([row, row | {"seed": 1, "seconds": 30.0, "device": "B200"}])
    assert (mean["count"], mean["seconds"], mean["devices"], mean["device"]) == (2, 20.0, 8, None)
    (mean,) = mean_costs([row, row | {"seconds": None}])
    assert mean["seconds"] is None
    assert len(mean_costs([row, row | {"epochs": 2.0}])) == 2


@pytest.mark.parametrize("part", ["seconds", "wait_seconds"])
def test_data_are_counted_without_the_clock(quick_lab: Path, part: str) -> None:
    collected = collect([quick_lab])
    listed = data_sets(collected.runs, collected.steps)
    assert listed and [entry.title for entry in listed] == sorted(entry.title for entry in listed)
    prompts = {each.steps.prompts for c in collected.results.checkpoints for each in c.benchmarks.values()}
    assert not prompts & {entry.step.removeprefix("prepare/") for entry in listed}
    manifest, _ = collected.steps.known(listed[0].step)
    manifest["summary"][part] = 1.5
    assert part not in data_sets(collected.runs, collected.steps)[0].summary
