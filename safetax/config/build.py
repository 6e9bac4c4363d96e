"""Turns composed YAML into the typed configuration, or says in one message everything that does not fit.

This is the one place where a configuration is checked: key names, types, choices, ranges, kinds of components and,
through ``__post_init__`` of the schema's classes, what several fields must have in common.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import sys
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from safetax.config.annotations import describe, fields_of, keys_of_an_entry, limits, split_marks, union_options
from safetax.config.components import component_kinds, component_module
from safetax.config.fields import Kind
from safetax.config.messages import join, nearest, show
from safetax.errors import ConfigError

MISSING = "???"


def build(
    schema: type,
    node: Any,
    groups: Iterable[str] = (),
    added: Collection[str] = (),
    origin: Callable[[str], str] = lambda path: path,
) -> Any:
    """Build an instance of ``schema`` from plain YAML values.

    Args:
        schema: the dataclass of the root node.
        node: composed and resolved values.
        groups: config groups, which a mistyped top-level key may have meant.
        added: key paths that are not in the YAML; where entries may have any name, one of these may be mistyped.
        origin: says which key a key takes its value from (itself where it has its own), so that one wrong value is one
            problem.

    Raises:
        ConfigError: with a line for each problem: key, value, what is allowed, nearest match.
    """
    builder = _Builder(schema, tuple(groups), added)
    value = builder.node(schema, node, "")
    if builder.problems:
        paths = {path for path, _ in builder.problems}
        own = [text for path, text in builder.problems if origin(path) == path or origin(path) not in paths]
        raise ConfigError("\n".join(own))
    return value


_FAILED: Any = object()


class _Builder:
    """Walks schema and values side by side and collects the problems."""

    def __init__(self, root: type, groups: tuple[str, ...], added: Collection[str]) -> None:
        self.root = root
        self.groups = groups
        self.added = added
        self.problems: list[tuple[str, str]] = []

    def problem(self, path: str, text: str) -> Any:
        """Note what is wrong at a key path; the text goes on behind the path."""
        self.problems.append((path, path + text))
        return _FAILED

    def node(self, schema: type, node: Any, path: str) -> Any:
        if not isinstance(node, Mapping):
            return self.problem(path, f"={show(node)}: expected {describe(schema)}.")
        known = {item.name: item for item in fields_of(schema)}
        failed = False
        for key in node:
            if key not in known:
                failed = True
                self.unknown_key(str(key), node[key], path, list(known))
        values: dict[str, Any] = {}
        for name, item in known.items():
            here = join(path, name)
            if name in node and node[name] != MISSING:
                values[name] = self.value(item.annotation, item.marks, node[name], here)
                failed |= values[name] is _FAILED
            elif item.required:
                failed = True
                self.problem(here, f" is missing: set it to {describe(item.annotation, item.marks)}.")
        if failed:
            return _FAILED
        try:
            return schema(**values)
        except ConfigError as error:
            self.problems.append((path, join(path, str(error))))
            return _FAILED

    def unknown_key(self, key: str, value: Any, path: str, known: list[str]) -> None:
        hint = nearest(key, known if path else [*known, *self.groups], path)
        if not hint:
            elsewhere = [full for full in self.all_keys() if full.rsplit(".", 1)[-1] == key]
            hint = f" Did you mean {' or '.join(elsewhere[:3])}?" if elsewhere else ""
        where = f"Keys of {path}" if path else "Keys"
        self.problem(join(path, key), f"={show(value)}: there is no such key.{hint} {where}: {', '.join(known)}.")

    def all_keys(self) -> list[str]:
        found: list[str] = []

        def walk(schema: type, path: str) -> None:
            for item in fields_of(schema):
                found.append(join(path, item.name))
                if dataclasses.is_dataclass(item.annotation):
                    walk(item.annotation, join(path, item.name))  # type: ignore[arg-type]

        walk(self.root, "")
        return found

    def value(self, annotation: Any, marks: tuple[Any, ...], value: Any, path: str, optional: bool = False) -> Any:
        kind = next((mark for mark in marks if isinstance(mark, Kind)), None)
        options = union_options(annotation)
        if options:
            if value is None and type(None) in options:
                return None
            rest = [option for option in options if option is not type(None)]
            bare, inner = split_marks(rest[0])
            return self.value(bare, (*marks, *inner), value, path, optional=True)
        if kind is not None:
            return self.component(kind, value, path)
        if dataclasses.is_dataclass(annotation):
            return self.node(annotation, value, path)  # type: ignore[arg-type]
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is list:
            return self.items(arguments[0], value, path)
        if origin is dict:
            return self.entries(arguments[1], value, path)
        return self.leaf(annotation, marks, value, path, describe(annotation, marks) + " or null" * optional)

    def items(self, annotation: Any, value: Any, path: str) -> Any:
        if not isinstance(value, list):
            return self.problem(path, f"={show(value)}: expected {describe(list[annotation])}.")
        bare, marks = split_marks(annotation)
        values = [self.value(bare, marks, entry, f"{path}[{index}]") for index, entry in enumerate(value)]
        return _FAILED if any(entry is _FAILED for entry in values) else values

    def entries(self, annotation: Any, value: Any, path: str) -> Any:
        if not isinstance(value, Mapping):
            return self.problem(path, f"={show(value)}: expected {describe(dict[str, annotation])}.")
        bare, marks = split_marks(annotation)
        own = keys_of_an_entry(annotation)
        if own and own <= value.keys() and not all(isinstance(value[key], Mapping) for key in own):
            key = next(key for key in value if key in own and not isinstance(value[key], Mapping))
            return self.problem(
                join(path, key),
                f"={show(value[key])}: this is a key of one entry of {path}, which has a name: {path}.NAME.{key}. A "
                f"YAML in a folder {path}/ begins with `# @package {path}.NAME`.",
            )
        values: dict[str, Any] = {}
        for key, entry in value.items():
            here = join(path, str(key))
            others = [str(other) for other in value if other != key]
            hint = nearest(str(key), others, path, cutoff=0.8) if here in self.added else ""
            if hint:
                remedy = f"To add it all the same, write +{here}=.. with a plus."
                values[str(key)] = self.problem(here, f"={show(entry)}: there is no such key.{hint} {remedy}")
            else:
                values[str(key)] = self.value(bare, marks, entry, here)
        return _FAILED if any(entry is _FAILED for entry in values.values()) else values

    def component(self, kind: Kind, value: Any, path: str) -> Any:
        kinds = f"one of {', '.join(component_kinds(kind.package))}, or the dotted path of a module"
        if not isinstance(value, Mapping):
            group = path.rpartition(".")[2]
            chosen = isinstance(value, str) and group in self.groups
            hint = f" Choose one with {group}@{path}={show(value)}." if chosen else ""
            return self.problem(path, f"={show(value)}: expected {describe(Any, (kind,))}.{hint}")
        if "kind" not in value:
            for key in difflib.get_close_matches("kind", [str(key) for key in value], n=1):
                hint = f"Did you mean {join(path, 'kind')}?"
                return self.problem(join(path, key), f"={show(value[key])}: there is no such key. {hint}")
            return self.problem(path, f".kind is missing: set it to {kinds}.")
        if not isinstance(value["kind"], str) or not value["kind"]:
            return self.problem(join(path, "kind"), f"={show(value['kind'])}: expected {kinds}.")
        try:
            module = component_module(kind.package, value["kind"])
        except ConfigError as error:
            self.problems.append((join(path, "kind"), join(path, str(error))))
            return _FAILED
        return self.node(module.Config, value, path)

    def leaf(self, annotation: Any, marks: tuple[Any, ...], value: Any, path: str, expected: str) -> Any:
        if annotation is Any:
            return value
        if typing.get_origin(annotation) is typing.Literal:
            choices = typing.get_args(annotation)
            if value is False and "off" in choices:
                value = "off"  # which is false in YAML
            if any(value == choice and type(value) is type(choice) for choice in choices):
                return value
            hint = nearest(str(value), map(str, choices))
            return self.problem(path, f"={show(value)}: expected {expected}.{hint}")
        whole = type(value) is int and abs(value) <= sys.float_info.max
        number = float(value) if annotation is float and whole else value
        fits = type(number) is annotation and not (annotation is float and not math.isfinite(number))
        if not fits or not all(mark.allows(number) for mark in limits(marks)):
            return self.problem(path, f"={show(value)}: expected {expected}.")
        return number
