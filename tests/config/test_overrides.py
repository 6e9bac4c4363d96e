"""Single overrides: how they are quoted and told, and which of them name no value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from safetax.config.compose import Composer
from safetax.config.overrides import advice, names_values, plain, quoted
from safetax.errors import ConfigError


@pytest.mark.parametrize(
    "path", ["plain/folder", "a b/it's", "back\\slash", "before\\'a quote", "at the end\\", "two\\\\", "comma,and=sign"]
)
def test_a_quoted_path_is_read_as_it_was(path: str) -> None:
    (parsed,) = Composer()._parse([f"runtime.outputs={quoted(Path(path))}"])
    assert parsed.value() == path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("epochs=1,2", True),
        ("epochs=range(0,3)", True),
        ("epochs=choice(1)", True),
        ("epochs=interval(0,1)", False),
        ("epochs=range(3,3)", False),
    ],
)
def test_a_sweep_names_values_or_none(text: str, names: bool) -> None:
    (parsed,) = Composer()._parse([text])
    assert names_values(parsed) is names


def test_a_user_is_told_what_was_typed() -> None:
    (parsed,) = Composer()._parse(["++epochs=1"])
    assert plain(parsed) == "epochs=1"
    assert "note='two words'" in advice("note=two words")
    assert advice("no assignment").startswith("Write key=value")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["epochs=1", "epochs=2"], "epochs=1 and epochs=2: epochs is given twice; give it once."),
        (["dataset=star1", "dataset=benign"], "dataset=star1 and dataset=benign: dataset is given twice"),
        (["+experiment=s1", "+experiment=limo"], "+experiment=s1 and +experiment=limo: experiment is given twice"),
        (["+experiment=s1", "+experiment=s1"], "+experiment=s1 is given twice; give it once."),
        (["dataset=dgr", "dataset.source=star1", "dataset@dataset.source=benign"], "dataset@dataset.source is given"),
        (["benchmark=[lab_harmful,lab_harmful]"], "benchmark=[lab_harmful,lab_harmful]: lab_harmful is named twice"),
        (["judge=[lab,phrases,lab]"], "judge=[lab,phrases,lab]: lab is named twice; name it once."),
        (["method=kl", "dataset=safechain"], "dataset=safechain: method=kl has data of its own (dataset=with_benign)"),
        (["method=dgr_r1_act", "dataset.source=safechain"], "method=dgr_r1_act has data of its own"),
    ],
)
def test_what_is_given_twice_or_contradicts_is_refused(overrides: list[str], expected: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Composer().jobs(overrides, multirun=False)
    assert expected in str(raised.value) and len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("values", ["1,1", "1,2,1", "choice(1,1)"])
def test_a_value_that_a_sweep_names_twice_is_refused(values: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"epochs={values}: 1 is named twice")):
        Composer().jobs([f"epochs={values}"], multirun=True)


@pytest.mark.parametrize(
    "overrides",
    [
        ["epochs=1", "epochs=1"],
        [
            "~benchmark.lab_benign",
            "+benchmark.lab_benign={prompts:{kind:lab_prompts,name:a,split:benign},measures:benign}",
        ],
        ["method=kl", "dataset=with_benign"],
        ["method=none", "dataset=safechain"],
    ],
)
def test_what_is_said_twice_and_agrees_is_taken(overrides: list[str]) -> None:
    assert Composer().jobs(overrides, multirun=False)
