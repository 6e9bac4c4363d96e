"""Each judge is what the protocol says."""

from __future__ import annotations

import pytest

from safetax.config.components import component_kinds, component_module


@pytest.mark.parametrize("kind", component_kinds("judges"))
def test_every_kind_is_a_component(kind: str) -> None:
    module = component_module("judges", kind)
    assert callable(module.judge) and next(iter(module.Config.__dataclass_fields__)) == "kind"
