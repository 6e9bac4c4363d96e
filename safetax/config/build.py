"""Turns composed YAML into the typed configuration, or says in one message everything that does not fit.

This is the one place where a configuration is checked: key names, types, choices, ranges, kinds of components and,
through ``__post_init__`` of the schema's classes, what several fields must have in common.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import sys
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from safetax.config.annotations import FieldType, ValueType, check_fields, fields_of
from safetax.config.components import component_kinds, component_module, told
from safetax.config.messages import join, nearest, show
from safetax.errors import ConfigError

MISSING = "???"
_SURROGATE = re.compile(r"[\ud800-\udfff]")
"""What stands for bytes of the command line that are no UTF-8."""


def build(
    schema: type,
    node: Any,
    groups: Iterable[str] = (),
    added: Collection[str] = (),
    origin: Callable[[str], str] = lambda path: path,
    built: dict[tuple[str, str], Any] | None = None,
) -> Any:
    """Build an instance of ``schema`` from plain YAML values.

    Args:
        schema: the dataclass of the root node.
        node: composed and resolved values.
        groups: config groups, which a mistyped top-level key may have meant.
        added: key paths that are not in the YAML; where entries may have any name, one of these may be mistyped.
        origin: says which key a key takes its value from (itself where it has its own), so that one wrong value is one
            problem.
        built: sections that were built before, by key and values; equal ones of a sweep's jobs are one object.

    Raises:
        ConfigError: with a line for each problem: key, value, what is allowed, nearest match.
    """
    builder = _Builder(schema, tuple(groups), added, {} if built is None else built)
    value = builder.node(schema, node, "")
    if builder.problems:
        paths = {path for path, _ in builder.problems}
        own = [text for path, text in builder.problems if origin(path) == path or origin(path) not in paths]
        raise ConfigError("\n".join(own))
    return value


class _Builder:
    """Walks schema and values side by side and collects the problems."""

    def __init__(
        self, root: type, groups: tuple[str, ...], added: Collection[str], built: dict[tuple[str, str], Any]
    ) -> None:
        self.root = root
        self.groups = groups
        self.added = added
        self.built = built
        self.problems: list[tuple[str, str]] = []

    def problem(self, path: str, text: str) -> None:
        """Note what is wrong at a key path; the text goes on behind the path."""
        self.problems.append((path, path + text))

    def unexpected(self, type_: ValueType, value: Any, path: str, hint: str = "") -> None:
        self.problem(path, f"={show(value)}: expected {type_.describe()}.{hint}")

    def node(self, schema: type, node: Mapping[str, Any], path: str) -> Any:
        known = {item.name: item for item in fields_of(schema)}
        before = len(self.problems)
        for key in node:
            if key not in known:
                self.unknown_key(str(key), node[key], path, list(known))
        values: dict[str, Any] = {}
        for name, item in known.items():
            here = join(path, name)
            if name in node and node[name] != MISSING:
                values[name] = self.value(item.type, node[name], here) if path else self.section(item, node[name])
            elif item.required:
                self.problem(here, f" is missing: set it to {item.type.describe()}.")
        try:
            return schema(**values) if len(self.problems) == before else None
        except ConfigError as error:
            self.problems.append((path, join(path, str(error))))
        except Exception as error:  # a plug-in's own code is run here
            self.problem(path, f": {schema.__module__}.{schema.__qualname__} fails ({told(error)}); mend it.")

    def section(self, item: FieldType, value: Any) -> Any:
        """Build a field of the root, once for equal values."""
        if any(path.split(".")[0] == item.name for path in self.added):  # it may be mistyped, whatever its value
            return self.value(item.type, value, item.name)
        key, before = (item.name, json.dumps(value, default=repr)), len(self.problems)
        if key not in self.built:
            section = self.value(item.type, value, item.name)
            if len(self.problems) > before:
                return None
            self.built[key] = section
        return self.built[key]

    def unknown_key(self, key: str, value: Any, path: str, known: list[str]) -> None:
        hint = nearest(key, known if path else [*known, *self.groups], path)
        if not hint:
            elsewhere = [full for full in _keys(self.root) if full.rsplit(".", 1)[-1] == key]
            hint = f" Did you mean {' or '.join(elsewhere[:3])}?" if elsewhere else ""
        where = f"Keys of {path}" if path else "Keys"
        self.problem(join(path, key), f"={show(value)}: there is no such key.{hint} {where}: {', '.join(known)}.")

    def value(self, type_: ValueType, value: Any, path: str) -> Any:
        if value is None and type_.optional:
            return None
        if type_.kind is not None:
            return self.component(type_, type_.kind.package, value, path)
        if type_.is_node:
            return (
                self.node(type_.bare, value, path)
                if isinstance(value, Mapping)
                else self.unexpected(type_, value, path)
            )
        if type_.origin is list:
            return self.items(type_, value, path)
        return self.entries(type_, value, path) if type_.origin is dict else self.leaf(type_, value, path)

    def items(self, type_: ValueType, value: Any, path: str) -> Any:
        if not isinstance(value, list):
            return self.unexpected(type_, value, path)
        return [self.value(type_.entry, entry, f"{path}[{index}]") for index, entry in enumerate(value)]

    def entries(self, type_: ValueType, value: Any, path: str) -> Any:
        if not isinstance(value, Mapping):
            return self.unexpected(type_, value, path)
        own = type_.entry.required_keys
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
                self.problem(here, f"={show(entry)}: there is no such key.{hint} {remedy}")
            else:
                values[str(key)] = self.value(type_.entry, entry, here)
        return values

    def component(self, type_: ValueType, package: str, value: Any, path: str) -> Any:
        if not isinstance(value, Mapping):
            group = path.rpartition(".")[2]
            chosen = isinstance(value, str) and group in self.groups
            hint = f" Choose one with {group}@{path}={show(value)}." if chosen else ""
            return self.unexpected(type_, value, path, hint)
        named, here = value.get("kind"), join(path, "kind")
        if isinstance(named, str) and named:
            try:
                schema = component_module(package, named).Config
                check_fields(schema, f"kind={named}")
                return self.node(schema, value, path)
            except ConfigError as error:
                return self.problems.append((here, join(path, str(error))))
        kinds = f"one of {', '.join(component_kinds(package))}, or the dotted path of a module"
        if "kind" in value:
            return self.problem(here, f"={show(named)}: expected {kinds}.")
        for key in difflib.get_close_matches("kind", [str(key) for key in value], n=1):
            return self.problem(join(path, key), f"={show(value[key])}: there is no such key. Did you mean {here}?")
        return self.problem(path, f".kind is missing: set it to {kinds}.")

    def leaf(self, type_: ValueType, value: Any, path: str) -> Any:
        if type_.bare is Any:
            return value
        if type_.origin is typing.Literal:
            choices = typing.get_args(type_.bare)
            if value is False and "off" in choices:
                value = "off"  # which is false in YAML
            if any(value == choice and type(value) is type(choice) for choice in choices):
                return value
            return self.unexpected(type_, value, path, nearest(str(value), map(str, choices)))
        whole = type(value) is int and abs(value) <= sys.float_info.max
        number = float(value) if type_.bare is float and whole else value
        fits = type(number) is type_.bare and not (type_.bare is float and not math.isfinite(number))
        if type_.bare is str and isinstance(value, str) and _SURROGATE.search(value):
            return self.problem(path, f"={show(value)!a}: these bytes are no UTF-8 text; write it as UTF-8.")
        if not fits or not all(mark.allows(number) for mark in type_.limits):
            return self.unexpected(type_, value, path)
        return number


def _keys(schema: type, path: str = "") -> Iterator[str]:
    """Yield the key paths below a schema class that are known whatever kinds are chosen."""
    for item in fields_of(schema):
        yield join(path, item.name)
        if item.type.is_node:
            yield from _keys(item.type.bare, join(path, item.name))
