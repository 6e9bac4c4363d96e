"""Names what tells apart runs of the same model, data set and epochs: settings that a sweep or a user changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from safetax.config.flat import flatten

# Settings that are an axis of the results themselves, or that change no number.
_AXES = ("epochs", "seed")
_OUTSIDE = {"runtime", "tracking", "plan", "stage"}


def variants(configs: Sequence[Mapping[str, Any]], without: Iterable[str] = ()) -> list[str]:
    """Return for each config the settings in which they differ, as ``key=value, ..``; empty where they do not.

    ``without`` names top-level nodes that do not matter for what is compared.
    """
    flat = [flatten(config) for config in configs]
    outside = _OUTSIDE | set(without)
    seen: dict[str, set[str]] = defaultdict(set)
    for keys in flat:
        for key in keys:
            seen[key].add(keys[key])
    differing = [
        key
        for key in sorted(seen)
        if (len(seen[key]) > 1 or any(key not in keys for keys in flat))
        and key.split(".")[0] not in outside
        and not key.endswith(_AXES)
    ]
    return [", ".join(f"{key}={keys[key]}" for key in differing if key in keys) for keys in flat]
