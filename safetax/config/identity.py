"""Identity: what of a configuration decides a result, as plain JSON values."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetax.config.annotations import ValueType, fields_of
from safetax.config.build import build
from safetax.config.components import component_module
from safetax.config.fields import HashedUnless, Label, NotHashed
from safetax.config.messages import join
from safetax.errors import ConfigError, UserError


def identity(node: Any, facts: Mapping[str, Any] | None = None, path: str = "") -> Any:
    """Return a configuration node as JSON values, all defaults included.

    Display labels and descriptions are left out, and so is a field that was added later while it has the value that
    means "as before".

    Args:
        node: a schema instance, or a value inside one.
        facts: what the resolve step found out about the world, by key path (see :mod:`safetax.plan.resolve`); a node's
            facts are added under ``resolved``.
        path: the node's own key path, which its facts are looked up by.
    """
    facts = facts or {}
    if dataclasses.is_dataclass(node):
        values = {}
        for item in fields_of(type(node)):  # type: ignore[arg-type]
            value = getattr(node, item.name)
            if any(isinstance(mark, Label | NotHashed) for mark in item.type.marks):
                continue
            if any(isinstance(mark, HashedUnless) and mark.value == value for mark in item.type.marks):
                continue
            values[item.name] = identity(value, facts, join(path, item.name))
        if path in facts:
            values["resolved"] = facts[path]
        return values
    if isinstance(node, Mapping):
        return {str(key): identity(value, facts, join(path, str(key))) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [identity(value, facts, f"{path}[{index}]") for index, value in enumerate(node)]
    return node


def restore(package: str, values: Mapping[str, Any]) -> Any:
    """Return the component that an identity was taken of; its kind stands for its labels."""
    return restore_node(component_module(package, values["kind"]).Config, values)


def check_restorable(package: str, node: Any) -> None:
    """Check that a worker can make a component's configuration again of what its step is frozen with.

    Raises:
        ConfigError: it cannot, such as where the default of a field is not of the field's type.
    """
    try:
        restore(package, json.loads(json.dumps(identity(node))))
    except ConfigError as error:
        raise ConfigError(
            f"kind={node.kind}: the defaults of its Config are not of the types of their fields: {error}"
        ) from None


def restore_node(schema: type, values: Mapping[str, Any]) -> Any:
    """Return the schema instance that an identity was taken of; its labels are made up."""
    return build(schema, _with_left_out(schema, values))


def _with_left_out(schema: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return identity values with what the identity leaves out put back.

    Raises:
        UserError: a plug-in's file is another than its step was planned with.
    """
    code, kind = (values.get("resolved") or {}).get("code"), str(values.get("kind"))
    file = getattr(sys.modules.get(kind), "__file__", None)
    if code is not None and file is not None and hashlib.sha256(Path(file).read_bytes()).hexdigest() != code:
        raise UserError(f"{file} has changed since this step was planned; run the same command again.")
    restored = {key: value for key, value in values.items() if key != "resolved"}
    if "commit" in (values.get("resolved") or {}) and "revision" in restored:
        restored["revision"] = values["resolved"]["commit"]  # what is used is what was found, wherever a branch is now
    for item in fields_of(schema):
        for mark in item.type.marks:
            if isinstance(mark, Label):
                restored.setdefault(item.name, values.get("kind", "unnamed"))
            if isinstance(mark, HashedUnless):
                restored.setdefault(item.name, mark.value)
        if item.name in restored:
            restored[item.name] = _put_back(item.type, restored[item.name])
    return restored


def _put_back(type_: ValueType, value: Any) -> Any:
    """Return the identity of a field's value with what it leaves out put back."""
    if not isinstance(value, Mapping):
        return value
    if type_.kind is not None:
        return _with_left_out(component_module(type_.kind.package, value["kind"]).Config, value)
    if type_.is_node:
        return _with_left_out(type_.bare, value)
    return {name: _put_back(type_.entry, each) for name, each in value.items()}
