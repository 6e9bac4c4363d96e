"""Components: the modules that kinds name, of safetax and of the user."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from safetax.config.build import build
from safetax.config.components import CALLED, component_kinds, component_module
from safetax.config.compose import Composer
from safetax.config.identity import check_restorable, identity, restore
from safetax.errors import ConfigError, UserError
from safetax.store.manifest import sha256_of
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
        assert expected.format(file=file, function=CALLED[package][0], package=package) in text
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


HEAD = "from dataclasses import dataclass, field\nfrom pathlib import Path\nfrom typing import Any, Literal\n"
JUDGE = "def judge(config, examples, responses, context):\n    return []\n"


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """A function that writes the module ``my_plugin.thing``."""
    file = tmp_path / "my_plugin" / "thing.py"
    file.parent.mkdir()
    monkeypatch.syspath_prepend(tmp_path)

    def write(code: str) -> Path:
        file.write_text(code)
        return file

    yield write
    for name in ("my_plugin.thing", "my_plugin"):
        sys.modules.pop(name, None)


def config_of(field: str) -> str:
    return f"{HEAD}@dataclass(frozen=True)\nclass Config:\n    kind: str\n    {field}\n{JUDGE}"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *(
            (config_of(f"words: {annotation} = {default}"), f"its Config has words: {annotation}; allowed are str")
            for annotation, default in (
                ("tuple[str, ...]", "('no',)"),
                ("set[str]", "field(default_factory=set)"),
                ("Path", "Path('x')"),
                ("int | str", "1"),
                ("list[tuple[int, int]]", "field(default_factory=list)"),
                ("dict[int, str]", "field(default_factory=dict)"),
                ("bytes", "b''"),
                ("list", "field(default_factory=list)"),
            )
        ),
        (config_of("limit: Limit = 1"), "the types of its Config cannot be read (name 'Limit' is not defined)"),
        (f"{HEAD}@dataclass\nclass Config:\n    x: int = 1\n{JUDGE}", "its Config has no field kind; add `kind: str`"),
        (
            config_of("n: int = 1").replace("(config, examples, responses, context)", "(config, responses)"),
            "judge cannot be called as judge(config, examples, responses, context), as safetax does",
        ),
        (
            config_of("n: int = 1\n    def __post_init__(self):\n        raise KeyError('n')"),
            "my_plugin.thing.Config fails ({file}, line 9: KeyError: 'n'); mend it.",
        ),
    ],
)
def test_what_would_fail_in_every_worker_is_refused_when_it_is_planned(
    composer: Composer, plug_in: Callable[[str], Path], code: str, expected: str
) -> None:
    file = plug_in(("from __future__ import annotations\n" if "Limit" in code else "") + code)
    text = message(composer, "+judge.mine={kind:my_plugin.thing}")
    assert text.startswith("judge.mine") and len(text.splitlines()) == 1 and "my_plugin.thing" in text
    assert expected.format(file=file) in text


@pytest.mark.parametrize(
    "field",
    [
        "n: int | None = None",
        "mode: Literal['a', 'b'] = 'a'",
        "words: list[str] = field(default_factory=list)",
        "by_name: dict[str, list[float]] = field(default_factory=dict)",
        "more: Any = None",
    ],
)
def test_what_a_config_may_hold_comes_back_in_a_worker(plug_in: Callable[[str], Path], field: str) -> None:
    plug_in(config_of(field))
    node = build(component_module("judges", "my_plugin.thing").Config, {"kind": "my_plugin.thing"})
    assert restore("judges", json.loads(json.dumps(identity(node)))) == node
    check_restorable("judges", node)


def test_a_default_of_another_type_than_its_field_is_refused(plug_in: Callable[[str], Path]) -> None:
    plug_in(config_of("words: list[str] = None"))
    node = build(component_module("judges", "my_plugin.thing").Config, {"kind": "my_plugin.thing"})
    with pytest.raises(
        ConfigError, match=r"kind=my_plugin.thing: the defaults of its Config .*words=null: expected a l"
    ):
        check_restorable("judges", node)


def test_a_module_that_changed_since_its_step_was_planned_is_not_used(plug_in: Callable[[str], Path]) -> None:
    file = plug_in(config_of("n: int = 1"))
    node = build(component_module("judges", "my_plugin.thing").Config, {"kind": "my_plugin.thing"})
    planned = identity(node, {"judge.mine": {"code": sha256_of(file)}}, "judge.mine")
    assert restore("judges", planned) == node
    file.write_text(config_of("n: int = 2"))
    with pytest.raises(
        UserError, match=r"thing\.py has changed since this step was planned; run the same command again"
    ):
        restore("judges", planned)


def test_an_edit_within_a_second_that_leaves_the_size_is_what_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python would take the bytecode of before: it knows its source by second and size alone."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "edited").mkdir()
    module = tmp_path / "edited" / "judge.py"
    code = "from dataclasses import dataclass\n\n\n@dataclass(frozen=True)\nclass Config:\n    kind: str\n\n\n"
    code += "def judge(config, examples, responses, context):\n    return {}\n"
    for said in (1, 2):
        module.write_text(code.format(said))
        os.utime(module, (1_000_000_000, 1_000_000_000))
        assert component_module("judges", "edited.judge").judge(None, [], [], None) == said
        for name in ("edited.judge", "edited"):
            del sys.modules[name]
        importlib.invalidate_caches()
