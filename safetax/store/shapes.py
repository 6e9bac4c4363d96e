"""Shapes of JSON documents that are read back from disk: what is cut, swapped or edited is found before it is used."""

from __future__ import annotations

from typing import Any

NUMBER = (int, float)
EACH = "*"
"""Key of a shape that stands for all keys of a map."""


def fits(value: Any, shape: Any) -> bool:
    """Whether a JSON value has a shape.

    Args:
        value: as ``json.loads`` returns it.
        shape: a type, or several; ``[shape]``: a list of such values; ``{EACH: shape}``: a map to such values;
            ``{"name": shape, "other?": shape}``: an object with these keys, of which the latter may be absent.
    """
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(each, shape[0]) for each in value)
    if not isinstance(shape, dict):
        return isinstance(value, shape) and not (isinstance(value, bool) and shape in (int, NUMBER))
    if not isinstance(value, dict):
        return False
    if EACH in shape:
        return all(fits(each, shape[EACH]) for each in value.values())
    return all(
        fits(value[name.rstrip("?")], expected) if name.rstrip("?") in value else name.endswith("?")
        for name, expected in shape.items()
    )
