"""Each engine is what the protocol says."""

from __future__ import annotations

import inspect
import typing

import pytest

from safetax.config.components import component_kinds, component_module
from safetax.evaluation.engines import Engine


@pytest.mark.parametrize("kind", component_kinds("engines"))
def test_an_engine_has_all_that_the_protocol_names(kind: str) -> None:
    made = typing.get_type_hints(component_module("engines", kind).start)["return"]
    methods = [name for name, member in vars(Engine).items() if inspect.isfunction(member) and name[0] != "_"]
    assert sorted(methods) == ["close", "respond"]
    for name in methods:
        assert inspect.signature(getattr(made, name)) == inspect.signature(getattr(Engine, name)), name
