"""The nodes of a configuration that are components, and its model: what names and paths of the world stand in."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from safetax.config.annotations import fields_of, split_marks, union_options
from safetax.config.fields import Kind
from safetax.config.messages import join
from safetax.config.schema import Model


def component_nodes(node: Any, path: str = "") -> Iterator[tuple[str, Any, str]]:
    """Yield every component below a node, and the model: key path, node, package."""
    if isinstance(node, Model):
        yield path, node, "model"
    if dataclasses.is_dataclass(node):
        for field, kind in _kinds(type(node)):  # type: ignore[arg-type]
            value, here = getattr(node, field), join(path, field)
            entries = value.items() if isinstance(value, Mapping) else [(None, value)]
            for name, entry in entries:
                spot = here if name is None else join(here, str(name))
                if kind is not None and entry is not None:
                    yield spot, entry, kind.package
                yield from component_nodes(entry, spot)


@functools.cache
def _kinds(schema: type) -> tuple[tuple[str, Kind | None], ...]:
    """Return the fields of a schema class, each with what kind of component it or its entries are."""
    found = []
    for item in fields_of(schema):
        marks = list(item.marks)
        for annotation in [*union_options(item.annotation), *typing.get_args(item.annotation)]:
            marks.extend(split_marks(annotation)[1])
        found.append((item.name, next((mark for mark in marks if isinstance(mark, Kind)), None)))
    return tuple(found)
