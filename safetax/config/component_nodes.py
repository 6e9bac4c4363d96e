"""The nodes of a configuration that are components, and its model: what names and paths of the world stand in."""

from __future__ import annotations

import dataclasses
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
        for item in fields_of(type(node)):  # type: ignore[arg-type]
            value, here = getattr(node, item.name), join(path, item.name)
            entries = value.items() if isinstance(value, Mapping) else [(None, value)]
            for name, entry in entries:
                spot = here if name is None else join(here, str(name))
                kind = next((mark for mark in _marks(item) if isinstance(mark, Kind)), None)
                if kind is not None and entry is not None:
                    yield spot, entry, kind.package
                yield from component_nodes(entry, spot)


def _marks(item: Any) -> tuple[Any, ...]:
    marks = list(item.marks)
    inner = [*union_options(item.annotation), *typing.get_args(item.annotation)]
    for annotation in inner:
        marks.extend(split_marks(annotation)[1])
    return tuple(marks)
