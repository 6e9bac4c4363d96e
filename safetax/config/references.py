"""References: values that are taken from another key, ``${key}``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from safetax.config.flat import leaves
from safetax.config.messages import nearest, show
from safetax.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

_REFERENCE = re.compile(r"\$\{([\w.\[\]-]+)\}")
_NAME = re.compile(r"([^.\[\]]+)\]?")


def unresolved(config: DictConfig, resolve: bool = False) -> dict[str, Any]:
    """Return a configuration as plain values in which references stand as they were written."""
    from omegaconf import OmegaConf

    values = OmegaConf.to_container(config, resolve=resolve)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def resolved(config: DictConfig) -> dict[str, Any]:
    """Return a configuration as plain values.

    Raises:
        ConfigError: a reference leads nowhere.
    """
    from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

    try:
        return unresolved(config, resolve=True)
    except OmegaConfBaseException as error:
        key = str(error.full_key)
        written = unresolved(config)
        value = next((value for end, value in _walk(written, key) if end == len(key)), None)
        reason = str(error.msg or error).splitlines()[0]
        if (found := re.search(r"node `([\w.]+)` is not a container", reason)) and found[1] in dict(leaves(written)):
            whole = dict(leaves(written))[found[1]]
            raise ConfigError(f"{found[1]}={show(whole)}: expected keys and values, which {key} refers to.") from None
        if isinstance(error, InterpolationKeyError) and (missing := re.search(r"'(.*)'", reason)):
            reason = f"there is no key {missing[1]}.{nearest(missing[1], [name for name, _ in leaves(written)])}"
        raise ConfigError(f"{key}={show(value)}: {reason}") from None


def origin(values: Mapping[str, Any], path: str) -> str:
    """Return the key path that a key's value was written at: the path itself, or what its references lead to."""
    seen: set[str] = set()
    while path not in seen:
        seen.add(path)
        for end, value in _walk(values, path):
            reference = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
            if reference:
                path = _absolute(reference[1], path[:end]) + path[end:]
                break
    return path


def _absolute(reference: str, path: str) -> str:
    """Return the key path that a reference at a key leads to; one that begins with points goes up from that key."""
    name = reference.lstrip(".")
    above = path.split(".")[: -(len(reference) - len(name)) or None]
    return ".".join([*above, name]) if len(name) < len(reference) else reference


def first_missing(values: Mapping[str, Any], path: str) -> str | None:
    """Return the shortest beginning of a key path that the values do not have, or None where they have all of it."""
    ends = [end for end, _ in _walk(values, path)]
    following = next((name.end() for name in _NAME.finditer(path) if name.end() > (ends[-1] if ends else 0)), None)
    return None if following is None else path[:following]


def _walk(values: Any, path: str) -> Iterator[tuple[int, Any]]:
    """Yield, for each part of a key path that there is, where it ends in the path, and its value."""
    for name in _NAME.finditer(path):
        if isinstance(values, Mapping) and name[1] in values:
            values = values[name[1]]
        elif isinstance(values, list) and name[1].isdigit() and int(name[1]) < len(values):
            values = values[int(name[1])]
        else:
            return
        yield name.end(), values
