"""What the annotations of a schema class say of its fields: types, marks, and what each takes in words."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from safetax.config.components import component_kinds
from safetax.config.fields import Between, Kind, Label


@dataclass(frozen=True)
class FieldType:
    """A field of a schema class: its bare type, the marks put on it, and whether it may be left out."""

    name: str
    annotation: Any
    marks: tuple[Any, ...]
    required: bool


@functools.cache
def fields_of(schema: type) -> tuple[FieldType, ...]:
    """Return the fields of a schema class with their resolved types."""
    hints = typing.get_type_hints(schema, include_extras=True)
    found = []
    for item in dataclasses.fields(schema):
        annotation, marks = split_marks(hints[item.name])
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        found.append(FieldType(item.name, annotation, marks, required))
    return tuple(found)


def split_marks(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Split ``Annotated[T, marks]`` into the type and its marks; a bare type has none."""
    if typing.get_origin(annotation) is typing.Annotated:
        bare, *marks = typing.get_args(annotation)
        return bare, tuple(marks)
    return annotation, ()


def union_options(annotation: Any) -> tuple[Any, ...]:
    """Return the options of ``X | None``; nothing for another type."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return typing.get_args(annotation)
    return ()


def keys_of_an_entry(annotation: Any) -> set[str]:
    """Return the keys that a named entry of a type cannot do without; none for one that is no node."""
    options = [option for option in union_options(annotation) if option is not type(None)]
    bare, marks = split_marks(options[0] if options else annotation)
    if any(isinstance(mark, Kind) for mark in marks):
        return {"kind"}
    return {item.name for item in fields_of(bare) if item.required} if dataclasses.is_dataclass(bare) else set()  # type: ignore[arg-type]


def describe(annotation: Any, marks: tuple[Any, ...] = ()) -> str:
    """Return in words what a field takes."""
    options = union_options(annotation)
    if options:
        bare, inner = split_marks(next(option for option in options if option is not type(None)))
        return describe(bare, (*marks, *inner)) + " or null"
    kind = next((mark for mark in marks if isinstance(mark, Kind)), None)
    if kind is not None:
        return f"a node with a kind ({', '.join(component_kinds(kind.package))})"
    if typing.get_origin(annotation) is typing.Literal:
        return "one of " + ", ".join(str(choice) for choice in typing.get_args(annotation))
    if dataclasses.is_dataclass(annotation):
        return f"a node with the keys {', '.join(item.name for item in fields_of(annotation))}"  # type: ignore[arg-type]
    name = {
        int: "a whole number",
        float: "a number",
        str: "text",
        bool: "true or false",
        list: "a list, such as [..,..]",
        dict: "a node with named entries",
    }.get(typing.get_origin(annotation) or annotation, "a node")
    return ", ".join([name, *(mark.describe() for mark in limits(marks))])


def limits(marks: Iterable[Any]) -> list[Between | Label]:
    """Return the marks that limit a field's values."""
    return [mark for mark in marks if isinstance(mark, Between | Label)]
