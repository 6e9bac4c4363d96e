"""Wrong configuration: cases made from the schema; each message names key, value, what is allowed, nearest match."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from safetax.config.build import build
from safetax.config.compose import Composer
from safetax.config.messages import show
from safetax.config.schema import Config
from safetax.errors import ConfigError
from tests.support.composing import EPOCHS, lacking, message
from tests.support.misuses import COMPOSITIONS, misspelt, spots, swapped, wrong_values


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer()


@pytest.fixture(scope="module")
def configs(composer: Composer) -> list[Config]:
    return [composer.jobs(overrides, multirun=False)[0].config for overrides in COMPOSITIONS]


def put(values: dict[str, Any], path: str, value: Any, name: str | None = None) -> dict[str, Any]:
    """A copy of nested values with one of them replaced, under another name if given."""
    key, _, rest = path.partition(".")
    copied = dict(values)
    if rest:
        copied[key] = put(values[key], rest, value, name)
    elif name is None:
        copied[key] = value
    else:
        copied[name] = copied.pop(key)
    return copied


def complaint(values: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as raised:
        build(Config, values)
    return str(raised.value)


def test_a_configuration_is_built_again_from_its_own_values(configs: list[Config]) -> None:
    for config in configs:
        assert build(Config, dataclasses.asdict(config)) == config


def test_every_field_refuses_a_wrong_value(configs: list[Config]) -> None:
    wrong, seen = [], set()
    for config in configs:
        values = dataclasses.asdict(config)
        for spot in spots(config):
            for value, parts in wrong_values(spot):
                case = (spot.path, spot.item, repr(value))
                if case in seen:
                    continue
                seen.add(case)
                text = complaint(put(values, spot.path, value))
                shown = show(value["kind"]) if isinstance(value, dict) and "kind" in value else show(value)
                line = next((line for line in text.splitlines() if line.startswith(spot.path)), "")
                if missing := lacking(line, [f"={shown}", *parts]):
                    wrong.append(f"{spot.path}={shown}: no {missing} in {text!r}")
    assert not wrong, "\n".join(wrong)
    assert len(seen) > 500


def test_every_misspelt_key_is_named_with_the_true_one(configs: list[Config]) -> None:
    wrong, seen = [], set()
    for config in configs:
        values = dataclasses.asdict(config)
        for spot in spots(config):
            for name in {misspelt(spot.item.name), swapped(spot.item.name)} - {spot.item.name}:
                parent, _, key = spot.path.rpartition(".")
                path = f"{parent}.{name}" if parent else name
                if (path, spot.item) in seen or len(key) < 3:  # two letters are like anything
                    continue
                seen.add((path, spot.item))
                text = complaint(put(values, spot.path, None, name=name))
                line = next((line for line in text.splitlines() if line.startswith(f"{path}=")), "")
                parts = [f"{path}={show(spot_values(values, spot.path))}", "no such key", f"Did you mean {spot.path}?"]
                if missing := lacking(line, parts):
                    wrong.append(f"{path}: no {missing} in {text!r}")
    assert not wrong, "\n".join(wrong)
    assert len(seen) > 150


def spot_values(values: Any, path: str) -> Any:
    for key in path.split("."):
        values = values[key]
    return values


def test_a_missing_value_is_named_with_what_it_takes(configs: list[Config]) -> None:
    found = 0
    for config in configs:
        values = dataclasses.asdict(config)
        for spot in spots(config):
            if spot.item.required and spot.item.name != "kind":
                found += 1
                text = complaint(put(values, spot.path, "???"))
                assert f"{spot.path} is missing: set it to {spot.item.type.describe()}" in text
    assert found > 60


def test_the_command_says_the_same_of_every_field(composer: Composer, configs: list[Config]) -> None:
    """The overrides of a command go through Hydra first; the message is the same."""
    wrong = []
    checked = 0
    for spot in [spot for index, spot in enumerate(spots(configs[0])) if index % 3 == 0 or "." not in spot.path]:
        value = next((value for value, _ in wrong_values(spot) if isinstance(value, int | str) and value != ""), None)
        if value is None or dataclasses.is_dataclass(spot.value) or spot.path == "dataset.rows" or "/" in str(value):
            continue
        if spot.path.startswith("dataset.rows.") or spot.path in ("benchmark", "judge", "world", "recipes", "method"):
            continue
        checked += 1
        isolated = [] if spot.path == "runtime.isolation" else ["runtime.isolation=process"]
        text = message(composer, *isolated, f"{spot.path}={show(value)}")
        if not text.startswith((f"{spot.path}={show(value)}: expected", f"{spot.path}.")):
            wrong.append(text)
        name = misspelt(spot.item.name)
        misspelt_path = spot.path.removesuffix(spot.item.name) + name
        text = message(composer, f"{misspelt_path}=3")
        if lacking(text, [f"{misspelt_path}=3: there is no such key."]):
            wrong.append(text)
        if len(spot.item.name) > 2 and f"Did you mean {spot.path}?" not in text:
            wrong.append(text)
    assert not wrong, "\n".join(wrong)
    assert checked > 20


def test_one_wrong_value_is_one_problem_though_others_take_theirs_from_it(composer: Composer) -> None:
    assert message(composer, "epochs=abc") == f"epochs=abc: {EPOCHS}"
    assert message(composer, "epochs=-1") == f"epochs=-1: {EPOCHS}"
    assert message(composer, "epochs=") == f"epochs='': {EPOCHS}"
    assert len(message(composer, "seed=1.5").splitlines()) == 1
    assert message(composer, "world.direct_refusal.samples=0").startswith("world.direct_refusal.samples=0: expected")


def test_several_wrong_values_are_all_named(composer: Composer) -> None:
    lines = message(composer, "epochs=abc", "alignment.dtype=float16", "runtime.zero=9").splitlines()
    assert [line.split("=")[0] for line in lines] == ["alignment.dtype", "runtime.zero", "epochs"]


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        (
            "dataset@reasoning.dataset=lab_resoning",
            ["dataset@reasoning.dataset=lab_resoning", "Did you mean lab_reasoning"],
        ),
        ("dataset@reasonin.dataset=benign", ["dataset@reasonin.dataset", "dataset@reasoning.dataset"]),
        ("datset@reasoning.dataset=benign", ["no config group datset", "Did you mean dataset?"]),
        ("reasoning.dataset=benign", ["reasoning.dataset=benign", "dataset@reasoning.dataset=benign"]),
        ("+experiment=lab_quik", ["experiment=lab_quik", "Did you mean lab_quick?"]),
        ("experiment=lab_quick", ["+experiment=lab_quick"]),
        ("+experimnt=lab_quick", ["experimnt=lab_quick", "Did you mean experiment?"]),
        ("modle=lab", ["modle=lab", "Did you mean model?", "Keys: model, format"]),
        ("hydra/launcher=locl", ["hydra/launcher=locl", "Did you mean local?"]),
        ("hydra/launchr=local", ["hydra/launchr=local", "Did you mean hydra/launcher?"]),
        ("hydra.rn.dir=x", ["hydra.rn.dir"]),
        ("hydra.job.chdir=abc", ["hydra.job.chdir=abc", "not a valid bool"]),
        ("hydra.searchpath=3", ["hydra.searchpath", "Got: 3"]),
        ("learning_rate=1", ["learning_rate=1", "alignment.learning_rate"]),
        ("+seed=3", ["seed=3"]),
        ("+dataset=benign", ["dataset", "benign"]),
        ("~nosuch", ["nosuch"]),
        ("~seed", ["seed=${seed}: there is no key seed."]),
        ("~model.name", ["model.name is missing: set it to text"]),
        ("~dataset", ["dataset is missing: set it to a node with a kind (direct_refusal,"]),
        ("dataset.kind=direct_refusl", ["dataset.kind=direct_refusl", "Did you mean direct_refusal?"]),
        ("dataset.kind=.x", ["dataset.kind=.x: there is no module"]),
        ("dataset.kind=a..b", ["dataset.kind=a..b: there is no module"]),
        ("dataset.kind=os.path", ["dataset.kind=os.path: module os.path has no dataclass Config"]),
        (
            "dataset.rows.table=safechain",
            ["dataset.rows is taken from world.direct_refusal", "set world.direct_refusal.table"],
        ),
        ("epochs=${nosuch}", ["epochs=${nosuch}: there is no key nosuch."]),
        ("epochs=${lrm_sed}", ["epochs=${lrm_sed}", "Did you mean lrm_seed?"]),
        ("epochs=${epochs}", ["epochs=${epochs}", "ecursive"]),
        ("model.architecture.hiden_size=3", ["hiden_size=3: there is no such key", "model.architecture.hidden_size?"]),
        ("benchmark.lab_resoning.repeats=3", ["benchmark.lab_resoning", "Did you mean benchmark.lab_reasoning?"]),
        ("+benchmark.lab_resoning.repeats=3", ["benchmark.lab_resoning.prompts is missing"]),
        ("benchmark.lab_reasoning.grader=null", ["benchmark.lab_reasoning.grader=null", "accuracy needs a grader"]),
        ("runtime.python.train=python", ["runtime.python.train=python", "runtime.isolation=process"]),
        ("runtime.outputs=", ["runtime.outputs=''"]),
        ("alignment.epochs=3", ["alignment.epochs=3", "epochs=5"]),
        ("alignment.global_batch=0", ["alignment.global_batch=0: expected a whole number, at least 1."]),
        ("runtime.micro_batch=3", ["runtime.micro_batch=3", "global_batch=32", "allowed are 1, 2, 4, 8, 16, 32."]),
        ("runtime.devices=3", ["alignment.global_batch=8", "runtime.devices=3", "multiples of 3"]),
        ("alignment.betas=[0.9]", ["alignment.betas=[0.9]", "allowed are two"]),
        ("alignment.betas=[a,0.9]", ["alignment.betas[0]=a: expected a number, at least 0 and at most 1."]),
        ("alignment.betas=[0.9,1.0]", ["alignment.betas=[0.9,1.0]", "each must be below 1"]),
        ("epochs=1e308", [f"epochs=1e+308: {EPOCHS}"]),
        ("judge.kind=phrases", ["judge.kind=phrases", "judge.NAME.kind", "`# @package judge.NAME`"]),
        ("alignment.optimizer=muon_adamw", ["alignment.muon_learning_rate=null", "optimizer=muon_adamw"]),
        ("runtime.distributed=[reasonin]", ["runtime.distributed[0]=reasonin", "Did you mean reasoning?"]),
        ("model.start=pretrained", ["model.id=null", "start=pretrained"]),
        ("model.pretraining=null", ["model.pretraining=null", "start=random"]),
        ("format.open_thinking=", ["format.open_thinking=''", "close_thinking="]),
    ],
)
def test_a_mistake_is_told_with_its_remedy(composer: Composer, override: str, parts: list[str]) -> None:
    text = message(composer, override)
    assert not lacking(text, parts), text
    assert len(text.splitlines()) <= 2, text
