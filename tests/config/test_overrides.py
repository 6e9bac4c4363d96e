"""Single overrides: how they are quoted and told, and which of them name no value."""

from __future__ import annotations

import re
import shlex
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
    ("text", "value"),
    [
        ("runtime.outputs=/tmp/a(1)", "/tmp/a(1)"),
        ("runtime.outputs=/tmp/[bold]x", "/tmp/[bold]x"),
        ("runtime.outputs=/tmp/it's", "/tmp/it's"),
        ("runtime.outputs=/tmp/50%?#&", "/tmp/50%?#&"),
        ("world.x={kind:file,path:/tmp/a(1).csv}", {"kind": "file", "path": "/tmp/a(1).csv"}),
        ("world.x={path:/a,columns:{prompt:Be(h)}}", {"path": "/a", "columns": {"prompt": "Be(h)"}}),
        ("runtime.slurm.setup=[echo (a),b]", ["echo (a)", "b"]),
    ],
)
def test_advice_that_is_followed_works(text: str, value: object) -> None:
    """The example that is given is what a shell is given, and is read as it was meant."""
    composer = Composer()
    with pytest.raises(ConfigError) as raised:
        composer._parse([text])
    typed = str(raised.value).rpartition(", as ")[2].removesuffix(".")
    [argument] = shlex.split(typed)
    [parsed] = composer._parse([argument])
    assert parsed.value() == value


def test_advice_gives_no_example_that_cannot_be_read() -> None:
    with pytest.raises(ConfigError) as raised:
        Composer()._parse(["epochs=[1"])
    assert "close every bracket" in str(raised.value) and ", as " not in str(raised.value)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["+experiment=s1", "+experiment=limo"], "+experiment=s1 and +experiment=limo: experiment is added twice"),
        (["+experiment=s1", "+experiment=s1"], "+experiment=s1: experiment is added twice; add it once."),
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
        ["~model.architecture.attention_dropout", "+model.architecture.attention_dropout=0.0"],
        ["method=kl", "dataset=with_benign"],
        ["method=none", "dataset=safechain"],
    ],
)
def test_what_is_said_twice_and_agrees_is_taken(overrides: list[str]) -> None:
    assert Composer().jobs(overrides, multirun=False)


def test_the_last_of_a_key_counts_as_in_hydra_so_that_a_script_can_be_added_to() -> None:
    (job,) = Composer().jobs(["epochs=1", "dataset=safechain", "epochs=2", "dataset=benign"], multirun=False)
    assert (job.config.epochs, job.config.dataset.name) == (2, "benign")
    assert job.overrides == ("epochs=2", "dataset=benign")
    jobs = Composer().jobs(["epochs=0,1,2", "seed=0,1", "epochs=5"], multirun=True)
    assert [(job.config.epochs, job.config.seed) for job in jobs] == [(5, 0), (5, 1)]


@pytest.mark.parametrize(
    ("overrides", "refused"),
    [
        (["dataset.name=safechain"], "dataset=safechain"),
        (["method=direct_refusal", "dataset.name=safechain"], "dataset=safechain"),
        (["dataset=dgr", "dataset.source=direct_refusal", "dataset.source.name=safechain"], "dataset.source=safechain"),
        (["model.name=qwen3-0.6b"], "model=qwen3-0.6b"),
        (["evaluation.name=paper"], "evaluation=paper"),
        (["dataset.name=mine"], None),
        (["dataset.name=direct_refusal"], None),
        (["dataset=safechain", "dataset.name=safechain"], None),
    ],
)
def test_nothing_bears_the_name_of_an_option_that_is_not_chosen(overrides: list[str], refused: str | None) -> None:
    if refused is None:
        assert Composer().jobs(overrides, multirun=False)
        return
    with pytest.raises(ConfigError, match=rf"{re.escape(overrides[-1])}: .*choose that one with {re.escape(refused)}"):
        Composer().jobs(overrides, multirun=False)
