"""What the annotations of a schema class say of its fields: types, marks, and what each takes in words."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from safetax.config.components import component_kinds
from safetax.config.fields import Between, Kind, Label
from safetax.config.messages import join
from safetax.errors import ConfigError

WORDS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    list: "a list, such as [..,..]",
    dict: "a node with named entries",
}


@dataclass(frozen=True)
class ValueType:
    """What a value may be: its bare type, the marks put on it, and whether it may be null."""

    bare: Any
    marks: tuple[Any, ...] = ()
    optional: bool = False

    @cached_property
    def kind(self) -> Kind | None:
        """The kind of component that the value is, if it is one."""
        return next((mark for mark in self.marks if isinstance(mark, Kind)), None)

    @cached_property
    def limits(self) -> list[Between | Label]:
        """The marks that limit the value."""
        return [mark for mark in self.marks if isinstance(mark, Between | Label)]

    @cached_property
    def origin(self) -> Any:
        """``list``, ``dict`` or ``Literal`` of such a type; the bare type of another."""
        return typing.get_origin(self.bare) or self.bare

    @cached_property
    def entry(self) -> ValueType:
        """What the entries of a list or dictionary may be; anything for another type."""
        return value_type(typing.get_args(self.bare)[-1]) if self.origin in (list, dict) else ValueType(Any)

    @cached_property
    def required_keys(self) -> set[str]:
        """The keys that a node cannot do without; none for what is no node."""
        if self.kind is not None:
            return {"kind"}
        return {item.name for item in fields_of(self.bare) if item.required} if self.is_node else set()

    @cached_property
    def is_node(self) -> bool:
        """Whether the value is an instance of a schema class."""
        return dataclasses.is_dataclass(self.bare)

    def describe(self) -> str:
        """Return in words what the value may be."""
        if self.kind is not None:
            text = f"a node with a kind ({', '.join(component_kinds(self.kind.package))})"
        elif self.origin is typing.Literal:
            text = "one of " + ", ".join(map(str, typing.get_args(self.bare)))
        elif self.is_node:
            text = f"a node with the keys {', '.join(item.name for item in fields_of(self.bare))}"
        else:
            name = WORDS.get(self.origin, "a node")
            text = ", ".join([name, *(mark.describe() for mark in self.limits)])
        return text + " or null" * self.optional


@dataclass(frozen=True)
class FieldType:
    """A field of a schema class: its name, what it takes, and whether it has to be given."""

    name: str
    type: ValueType
    required: bool


@functools.cache
def fields_of(schema: type) -> tuple[FieldType, ...]:
    """Return the fields of a schema class with their resolved types."""
    hints = typing.get_type_hints(schema, include_extras=True)
    return tuple(
        FieldType(
            item.name,
            value_type(hints[item.name]),
            item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING,
        )
        for item in dataclasses.fields(schema)
    )


def check_fields(schema: type, place: str) -> None:
    """Check that the Config of a component has only fields that YAML, a fingerprint and a worker can hold.

    Args:
        schema: the Config, a dataclass.
        place: what messages call it.

    Raises:
        ConfigError: a field has another type; names it and what is allowed.
    """
    try:
        hints = typing.get_type_hints(schema, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigError(
            f"{place}: the types of its Config cannot be read ({error}); import what they name."
        ) from None
    if "kind" not in hints:
        raise ConfigError(f"{place}: its Config has no field kind; add `kind: str`.")
    for name, annotation in hints.items():
        if not _is_supported(annotation):
            written = schema.__annotations__.get(name, annotation)
            written = written.__name__ if isinstance(written, type) else written
            raise ConfigError(
                f"{place}: its Config has {name}: {written}; allowed are str, int, float, bool, Literal[..], list[..], "
                "dict[str, ..], a dataclass of these, Any, and each of them `| None`."
            )


def _is_supported(annotation: Any) -> bool:
    """Whether values of a type are checked, hashed and made again by workers."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return any(isinstance(mark, Kind) for mark in arguments[1:]) or _is_supported(arguments[0])
    if origin in (types.UnionType, typing.Union):
        rest = [option for option in arguments if option is not types.NoneType]
        return len(rest) == 1 and _is_supported(rest[0])
    if origin is typing.Literal:
        return all(isinstance(choice, str | int | float) for choice in arguments)
    if origin is list:
        return _is_supported(arguments[0])
    if origin is dict:
        return arguments[0] is str and _is_supported(arguments[1])
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return all(map(_is_supported, typing.get_type_hints(annotation, include_extras=True).values()))
    return annotation in (str, int, float, bool, Any)


def value_type(annotation: Any, marks: tuple[Any, ...] = (), optional: bool = False) -> ValueType:
    """Return what an annotation says of a value; ``Annotated`` and ``X | None`` are taken apart."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return value_type(arguments[0], (*marks, *arguments[1:]), optional)
    if origin in (types.UnionType, typing.Union):
        rest = next(option for option in arguments if option is not types.NoneType)
        return value_type(rest, marks, optional or types.NoneType in arguments)
    return ValueType(annotation, marks, optional)


def component_nodes(node: Any, path: str = "") -> Iterator[tuple[str, Any, str]]:
    """Yield every component below a schema instance: key path, node, package."""
    if not dataclasses.is_dataclass(node):
        return
    for item in fields_of(type(node)):  # type: ignore[arg-type]
        value, here = getattr(node, item.name), join(path, item.name)
        kind = item.type.kind or item.type.entry.kind
        entries = value.items() if isinstance(value, Mapping) else [(None, value)]
        for name, entry in entries:
            spot = here if name is None else join(here, str(name))
            if kind is not None and entry is not None:
                yield spot, entry, kind.package
            yield from component_nodes(entry, spot)
