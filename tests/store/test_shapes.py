"""Shapes of JSON documents."""

from __future__ import annotations

from typing import Any

import pytest

from safetax.store.shapes import EACH, NUMBER, fits

DOCUMENT = {"name": str, "sizes": [int], "of": {EACH: {"share": NUMBER}}, "note?": (str, type(None))}


@pytest.mark.parametrize(
    "value",
    [
        {"name": "a", "sizes": [], "of": {}},
        {"name": "a", "sizes": [1, 2], "of": {"x": {"share": 1}, "y": {"share": 0.5, "more": []}}, "note": None},
    ],
)
def test_documents_that_fit(value: Any) -> None:
    assert fits(value, DOCUMENT)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"sizes": [], "of": {}},
        {"name": 3, "sizes": [], "of": {}},
        {"name": "a", "sizes": [1, "2"], "of": {}},
        {"name": "a", "sizes": [True], "of": {}},
        {"name": "a", "sizes": {}, "of": {}},
        {"name": "a", "sizes": [], "of": {"x": {}}},
        {"name": "a", "sizes": [], "of": {"x": {"share": "half"}}},
        {"name": "a", "sizes": [], "of": {"x": {"share": True}}},
        {"name": "a", "sizes": [], "of": [], "note": "b"},
        {"name": "a", "sizes": [], "of": {}, "note": 1},
    ],
)
def test_documents_that_do_not_fit(value: Any) -> None:
    assert not fits(value, DOCUMENT)
