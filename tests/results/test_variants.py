"""The names of what tells runs apart."""

from __future__ import annotations

from typing import Any

from safetax.results.variants import Variant, data_variants, variants


def test_runs_that_differ_in_the_epochs_of_the_reasoning_stage_are_no_seeds() -> None:
    configs = [{"epochs": 1, "seed": 0, "reasoning": {"training": {"epochs": epochs}}} for epochs in (1, 3)]
    assert variants(configs) == ["reasoning.training.epochs=1", "reasoning.training.epochs=3"]
    assert variants([{"epochs": 1, "alignment": {"epochs": 1}}, {"epochs": 2, "alignment": {"epochs": 2}}]) == ["", ""]
    assert variants([{"dataset": {"rows": {"world_seed": 1}}}, {"dataset": {"rows": {"world_seed": 2}}}]) == ["", ""]


def test_the_name_of_an_evaluation_stands_for_what_it_sets_and_nothing_else() -> None:
    def config(name: str, budget: int, rate: float) -> dict[str, Any]:
        grader = {"kind": "sound" if name == "sound" else "paper_grader"}
        benchmark = {"aime24": {"grader": grader}}
        evaluation = {"name": name, "thinking_budget": budget, "grader": grader}
        return {"evaluation": evaluation, "benchmark": benchmark, "alignment": {"learning_rate": rate}}

    assert variants([config("paper", 5000, 1e-5), config("sound", 16384, 1e-5)]) == [
        "evaluation=paper",
        "evaluation=sound",
    ]
    assert variants([config("paper", 5000, 1e-5), config("sound", 16384, 2e-5)])[1] == (
        "evaluation=sound, alignment.learning_rate=2e-05"
    )
    data = [
        {**config("paper", 5000, 1e-5), "recipes": {"primer": words}, "world": {"s1k": words}} for words in ("a", "b")
    ]
    assert variants(data) == ["", ""], "what no data set of a run refers to tells it from no other"
    several = [config("paper", 5000, 1e-5), config("paper", 8000, 1e-5), config("sound", 16384, 1e-5)]
    assert variants(several)[1] == "evaluation=paper, evaluation.thinking_budget=8000"


def _config(**dataset: Any) -> dict[str, Any]:
    return {"seed": 0, "dataset": {"kind": "subset", "source": {"kind": "safechain"}, **dataset}, "lr": 1.0}


def test_samples_tell_runs_apart_and_draws_do_not() -> None:
    configs = [_config(limit=limit, draw=draw) for limit in (10, None) for draw in (0, 1)]
    assert (
        data_variants(configs, [10, 10, 817, 817]) == [Variant("10 samples", "")] * 2 + [Variant("817 samples", "")] * 2
    )
    assert data_variants(configs[:2], [10, 10]) == [Variant(), Variant()]
    named = data_variants([*configs, {**_config(limit=10, draw=0), "lr": 2.0}], [1, 1, 1200, 1200, 1])
    assert [each.name for each in named[1:3]] == ["1 sample, lr=1.0", "1,200 samples, lr=1.0"]
    assert named[-1] == Variant("1 sample, lr=2.0", "lr=2.0")
    assert named[0].series == "lr=1.0"


def test_counts_of_filtered_data_do_not_tell_seeds_apart() -> None:
    assert data_variants([_config(), _config()], [990, 987]) == [Variant(), Variant()]
    nested = [_config(), _config()]
    nested[0]["dataset"]["source"]["limit"] = 20
    assert [each.name for each in data_variants([*nested, nested[0]], [18, 900, 19])] == [
        "18 to 19 samples",
        "900 samples",
        "18 to 19 samples",
    ]


def test_without_known_counts_or_with_equal_ones_settings_are_named() -> None:
    configs = [_config(limit=10, draw=0), _config(limit=None, draw=0)]
    old = ["dataset.limit=10", "dataset.limit=null"]
    assert data_variants(configs, [10, None]) == [Variant(name) for name in old]
    assert data_variants(configs, [10, 10]) == [Variant(f"10 samples, {name}", "") for name in old]
