"""How the records of a results document are written as JSON and read again.

A field that has a default is left out of the JSON where it has it, so that documents of earlier versions read as well.
Its metadata may hold its ``key`` in the JSON, and ``written``: called with the record, whether the default is written
all the same, or None for a field that is never written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

DIGITS = 6
"""Decimal places of every number in the document."""
ALWAYS = {"written": lambda record: True}
"""Metadata of a field that is written with its default too."""
UNWRITTEN = {"written": None}
"""Metadata of a field that is not written."""

Record = TypeVar("Record")


def to_json(value: Any) -> Any:
    """Return a record as plain JSON values; floats have ``DIGITS`` decimal places."""
    if isinstance(value, float):
        return round(value, DIGITS) + 0.0  # adding 0 turns -0.0 into 0.0
    if isinstance(value, Mapping):
        return {key: to_json(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(inner) for inner in value]
    if not is_dataclass(value):
        return value
    written = {}
    for name, key, default, always in _written_fields(type(value)):
        inner = getattr(value, name)
        if inner != default or always(value):
            written[key] = to_json(inner)
    return written


def from_json(record: type[Record], value: Any) -> Record:
    """Return the record that ``to_json`` gave the value for.

    Raises:
        KeyError: it lacks something.
    """
    return _read(record, value)


@cache
def _written_fields(record: type) -> list[tuple[str, str, Any, Any]]:
    """Return name, key in the JSON and default of each field, and when the default is written all the same."""
    found = []
    for each in fields(record):
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        if (written := each.metadata.get("written", lambda record: False)) is not None:
            found.append((each.name, each.metadata.get("key", each.name), default, written))
    return found


_hints = cache(get_type_hints)


def _read(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if get_origin(hint) is UnionType:
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    if isinstance(hint, type) and is_dataclass(hint):
        hints = _hints(hint)
        read = {
            name: _read(hints[name], value[key])
            for name, key, default, _ in _written_fields(hint)
            if default is MISSING or key in value
        }
        return hint(**read)
    if get_origin(hint) is tuple:
        return tuple(_read(get_args(hint)[0], inner) for inner in value)
    if get_origin(hint) is Mapping:
        return {key: _read(get_args(hint)[1], inner) for key, inner in value.items()}
    return value
