"""What Hydra reads of a user's own YAML, and what it complains of, in words for the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safetax.config.compose import Composer
from safetax.config.hydra import composition_errors
from safetax.errors import ConfigError
from tests.support.composing import EPOCHS, lacking, message
from tests.support.places import ROOT


def test_a_config_dir_or_name_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="--config-dir=/no/such: there is no such folder"):
        Composer("/no/such")
    with pytest.raises(ConfigError, match=r"--config-dir=.*: there is no such folder"):
        Composer(__file__)
    with pytest.raises(
        ConfigError, match=r"--config-name=confg: there is no such configuration. Did you mean config\?"
    ):
        Composer(config_name="confg")


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("a: [1,\n b: 2", ["mine.yaml", "line ", "no valid YAML"]),
        ("# @package _global_\nepochs: [\n", ["mine.yaml", "no valid YAML"]),
        ("# @package _global_\nnote: \xe9", ["mine.yaml is no UTF-8 text (", "): save it as UTF-8."]),
        ("# @package _global_\nnote: \x01", ["mine.yaml", "no valid YAML"]),
        ("# @package _global_\nmodel:\n  name: ${seed", ["mine.yaml: model.name: this reference cannot be read"]),
        ("# @package _global_\nepochs: many", [f"epochs=many: {EPOCHS}"]),
        ("# @package _global_\nepochs: '3'", ["epochs=3: expected a number"]),
        ("# @package _global_\nepohcs: 3", ["epohcs=3: there is no such key. Did you mean epochs?"]),
        (
            "# @package _global_\nalignment:\n  leraning_rate: 3",
            ["alignment.leraning_rate=3", "alignment.learning_rate?"],
        ),
        ("# @package _global_\nalignment:\n  learning_rate: 1e", ["alignment.learning_rate=1e: expected a number"]),
        ("# @package _global_\ndefaults:\n  - override /model: nosuch", ["model/nosuch", "Allowed are ", "lab"]),
        ("# @package _global_\ndefaults: 3", ["defaults"]),
        ("# @package _global_\nmodel: lab", ["model=lab: expected a node with the keys name, start"]),
        ("# @package _global_\nhydra:\n  rn: 3", ["rn"]),
        ("# @package _global_\nhydra:\n  sweeper:\n    params:\n      epochs: ${nosuch}", ["nosuch"]),
    ],
)
def test_a_mistake_in_a_users_own_yaml_is_named(tmp_path: Path, written: str, parts: list[str]) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(written, encoding="latin-1")
    text = message(Composer(str(tmp_path)), "+experiment=mine", multirun="sweeper" in written)
    assert not lacking(text, parts), text


def test_a_users_own_yaml_is_found_beside_ours(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "dataset").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nepochs: 3\ntracking: off\n")
    ours = (ROOT / "conf" / "dataset" / "benign.yaml").read_text()
    (tmp_path / "dataset" / "mine.yaml").write_text(ours.replace("samples: 1000", "samples: 7"))
    composer = Composer(str(tmp_path))
    [job] = composer.jobs(["+experiment=mine", "dataset=mine"], multirun=False)
    dataset: Any = job.config.dataset
    assert (job.config.epochs, job.config.tracking, dataset.samples) == (3.0, "off", 7)
    assert "Did you mean mine?" in message(composer, "+experiment=mien")
    searched = Composer()
    [job] = searched.jobs(["+experiment=mine", f"hydra.searchpath=[{tmp_path}]"], multirun=False)
    assert job.config.epochs == 3.0


@pytest.mark.parametrize(
    ("group", "written"), [("judge", "kind: phrases"), ("benchmark", "prompts: {kind: lab_prompts}\nmeasures: harmful")]
)
def test_a_yaml_without_the_name_of_its_entry_is_told_how_it_begins(tmp_path: Path, group: str, written: str) -> None:
    (tmp_path / group).mkdir()
    (tmp_path / group / "mine.yaml").write_text(written)
    for chosen in ("[mine]", "[lab,mine]" if group == "judge" else "[lab_harmful,mine]"):
        text = message(Composer(str(tmp_path)), f"{group}={chosen}")
        assert f"begins with `# @package {group}.NAME`" in text and len(text.splitlines()) == 1, text


def test_a_data_set_that_is_made_of_no_other_is_told_which_are() -> None:
    text = message(Composer(), "dataset=direct_refusal", "dataset.source=safechain")
    assert text.startswith("dataset.source: the data set that is chosen is not made of another one")


def test_complaints_of_yaml_and_omegaconf_become_one_line(tmp_path: Path) -> None:
    from omegaconf import OmegaConf

    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1")
    with pytest.raises(ConfigError, match=r"broken\.yaml, line \d+: this is no valid YAML"), composition_errors():
        OmegaConf.load(broken)
    config = OmegaConf.create({"a": "${nosuch}"})
    with pytest.raises(ConfigError) as raised, composition_errors():
        assert config.a
    assert "nosuch" in str(raised.value) and "\n" not in str(raised.value)


def test_a_reference_is_parsed_once_and_read_anew() -> None:
    from omegaconf import OmegaConf

    Composer()  # whose loader has OmegaConf remember what it parsed
    config = OmegaConf.create({"a": "${b}", "b": 1})
    assert config.a == 1
    config.b = 2
    assert config.a == 2
