"""Several data sets as one: their ratio, and what does not go together."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from safetax.config.compose import Composer
from safetax.data.datasets import DatasetContext, mixture
from safetax.errors import ConfigError
from safetax.records import Example, write_records
from tests.support.prepared import failure, prepared
from tests.support.recipes import UNUSED


def ids(examples: list[Example]) -> list[str]:
    return [example.id for example in examples]


def test_a_mixture_has_its_ratio_and_names_the_parts(tmp_path: Path) -> None:
    small = ("world.direct_refusal.samples=40", "recipes.retain.samples=100")
    found, summary = prepared(tmp_path, "dataset=replay", *small)
    assert summary["parts"] == {"safety": 40, "reasoning": 20} or summary["parts"] == {"reasoning": 20, "safety": 40}
    assert Counter(example.meta["mixture"] for example in found) == {"safety": 40, "reasoning": 20}
    assert len(set(ids(found))) == 60
    reasoning = [example for example in found if example.meta["mixture"] == "reasoning"]
    assert len({example.id for example in reasoning}) == 20 and all(example.thinking for example in reasoning[:1])
    other, _ = prepared(tmp_path, "dataset=replay", *small, "seed=1")
    assert {e.id for e in reasoning} != {e.id for e in other if e.meta["mixture"] == "reasoning"}


def test_a_ratio_that_asks_for_too_much(tmp_path: Path) -> None:
    small = ("world.direct_refusal.samples=40", "recipes.retain.samples=10")
    assert "asks for 20 rows of reasoning, which has 10" in failure(tmp_path, "dataset=replay", *small)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["dataset=replay", "+dataset.ratios.reasonng=0.5"], "reasonng"),
        (["dataset=replay", "+dataset.ratios.safety=0.5"], "every part has one"),
        (["dataset=replay", "dataset.parts.safety=nothing"], "there is no such choice"),
        (["dataset=dgr", "dataset.source=nothing"], "there is no such choice"),
        (["dataset=direct_refusal", "dataset.source=safechain"], "is not made of another one of that name"),
        (["dataset=dgr", "dataset.fallback=resample"], "rounds=1 does not go with fallback=resample"),
        (["dataset=dgr", "dataset.rounds=2"], "rounds=2 does not go with fallback=keep"),
        (["dataset=dgr", "dataset.temperature=0"], "do not go with temperature=0"),
        (["dataset=dgr", "dataset.prompts.template='{reply}'"], "names {reply}; allowed are"),
    ],
)
def test_what_does_not_go_together_is_one_message(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        Composer().jobs(overrides, multirun=False)
    assert said in str(error.value)


def test_a_mixture_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"parts=\{\} names nothing to mix"):
        mixture.Config("mixture", "set", {})


def test_meta_may_be_added_to_a_part(tmp_path: Path) -> None:
    for name in ("safety", "other"):
        (tmp_path / name).mkdir()
        write_records(tmp_path / name / "examples.jsonl", [Example("a", [{"role": "user", "content": "may i ?"}])])
    parts = {"safety": UNUSED, "other": UNUSED}
    config = mixture.Config("mixture", "set", parts, meta={"other": {"harmful": False}})
    context = DatasetContext({f"parts.{name}": tmp_path / name for name in parts})
    found = mixture.build(config, context)
    assert [(row.id, row.meta) for row in found] == [
        ("safety-a", {"mixture": "safety"}),
        ("other-a", {"harmful": False, "mixture": "other"}),
    ]
