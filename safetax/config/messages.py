"""Words that messages about a configuration are made of: key paths, values as typed, the nearest match."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


def nearest(word: str, candidates: Iterable[str], path: str = "", cutoff: float = 0.6) -> str:
    """Return `` Did you mean ..?`` with the nearest candidate below a key path, or nothing when none is near."""
    matches = difflib.get_close_matches(word, sorted(set(candidates)), n=1, cutoff=cutoff)
    return f" Did you mean {join(path, matches[0])}?" if matches else ""


def show(value: Any) -> str:
    """Return a value as it would be typed on the command line, shortened."""
    text = _typed(value).replace("\n", "\\n")
    return text if len(text) <= 80 else text[:77] + "..."


def _typed(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_typed(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_typed, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) or "''"


def join(path: str, rest: str) -> str:
    """Join a key path and what follows it."""
    return f"{path}.{rest}" if path else rest
