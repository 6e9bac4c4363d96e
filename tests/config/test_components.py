"""Components: the modules that kinds name, of safetax and of the user."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from safetax.config.components import CALLED, component_kinds, component_module
from safetax.config.compose import Composer
from tests.support.composing import message


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer()


def test_every_kind_of_ours_has_what_its_package_calls() -> None:
    for package in CALLED:
        for kind in component_kinds(package):
            assert component_module(package, kind)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f(:", "the module cannot be imported ({file}, line 1: SyntaxError: invalid syntax); mend it."),
        ("\nimport nosuchlib", "({file}, line 2: ModuleNotFoundError: No module named 'nosuchlib'); mend it."),
        ("raise RuntimeError('boom')", "({file}, line 1: RuntimeError: boom); mend it."),
        ("raise SystemExit(3)", "({file}, line 1: SystemExit: 3); mend it."),
        ("a\0b", "the module cannot be imported (SyntaxError: "),
        (
            "from dataclasses import dataclass\n@dataclass\nclass Config:\n    kind: str",
            "has no function {function}, which a kind of {package} needs; add it.",
        ),
    ],
)
def test_a_broken_module_of_the_users_is_one_message(
    composer: Composer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, expected: str
) -> None:
    file = tmp_path / "my_broken" / "poems.py"
    file.parent.mkdir()
    file.write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    for key, package in {"dataset": "datasets", "judge.lab": "judges", "engine": "engines"}.items():
        text = message(composer, f"{key}.kind=my_broken.poems")
        assert text.startswith(f"{key}.kind=my_broken.poems: ") and len(text.splitlines()) == 1
        assert expected.format(file=file, function=CALLED[package], package=package) in text
    for name in ("my_broken.poems", "my_broken"):
        sys.modules.pop(name, None)


def test_a_kind_outside_the_package_works(composer: Composer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "poems.py").write_text(
        "from dataclasses import dataclass\nfrom typing import Annotated\n"
        "from safetax.config.fields import AtLeast, Label\n"
        "@dataclass(frozen=True)\nclass Config:\n"
        "    kind: str\n    name: Annotated[str, Label()]\n    verses: Annotated[int, AtLeast(1)] = 4\n"
        "def build(config, inputs):\n    return []\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    value = "dataset={kind:my_lab.poems,name:poems}"
    deleted = [f"~dataset.{key}" for key in ("rows", "limit", "thinking", "answer_prefix")]
    [job] = composer.jobs([value, *deleted, "dataset.verses=3"], multirun=False)
    dataset: Any = job.config.dataset
    assert type(dataset).__module__ == "my_lab.poems"
    assert dataset.verses == 3
    assert message(composer, value, *deleted, "dataset.verses=0").startswith("dataset.verses=0: expected")
    assert "Did you mean dataset.verses?" in message(composer, value, *deleted, "dataset.vrses=2")
    assert "there is no module my_lab.songs" in message(composer, "dataset.kind=my_lab.songs")
    sys.modules.pop("my_lab.poems")
