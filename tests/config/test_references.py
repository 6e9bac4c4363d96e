"""References: where a value that is taken from another key was written."""

from __future__ import annotations

import re

from safetax.config.references import first_missing, origin


def test_references_are_followed_to_where_a_value_is_written() -> None:
    values = {"a": {"b": "${c}", "x": [{"y": "${e}"}]}, "c": {"d": "${e}"}, "e": 3, "loop": "${loop}"}
    assert origin(values, "a.b.d") == "e"
    assert origin(values, "a.b.z[0].k") == "c.z[0].k"
    assert origin(values, "a.x[0].y") == "e"
    assert origin(values, "e") == "e"
    assert origin(values, "loop") == "loop"
    assert first_missing(values, "a.q.r") == "a.q"
    assert first_missing(values, "a.x[0].y") is None
    assert re.fullmatch(r"new", first_missing(values, "new") or "")
