"""Single overrides: how they are quoted and told, and which of them name no value."""

from __future__ import annotations

from pathlib import Path

import pytest

from safetax.config.compose import Composer
from safetax.config.overrides import advice, names_values, plain, quoted


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
