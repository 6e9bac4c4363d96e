"""Names what tells apart runs of the same model, data set and epochs: settings that a sweep or a user changed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safetax.config.flat import flatten

# Settings that are an axis of the results themselves, or that change no number.
_EPOCHS = ("epochs", "alignment.epochs")
_SEED = re.compile(r"(?:.+\.)?(?:\w+_)?seed")
_OUTSIDE = {"runtime", "tracking", "plan", "stage", "hub", "published", "categories", "shift", "method"} | {
    # Data sets refer to them: what of them matters to a run stands in its data set.
    "world",
    "recipes",
}
_NULL = "null"
# Told wherever it is set: weights that lie between two models are not what their data made of one.
_SHARE = "interpolation"
# What a named evaluation sets, so that its name says it all.
_EVALUATION = re.compile(r"evaluation\.|benchmark\.[^.]+\.grader\.")
# How many rows of the alignment data are taken, and which: a number of samples tells runs apart, a draw is one more
# observation of the same, as a seed is.
_LIMIT = re.compile(r"dataset\.(?:.+\.)?limit")
_DRAW = re.compile(r"dataset\.(?:.+\.)?draw")


@dataclass(frozen=True)
class Variant:
    """What tells a run apart from its like; ``series`` is the same without the number of samples, if that is in it."""

    name: str = ""
    series: str | None = None


def data_variants(configs: Sequence[Mapping[str, Any]], distinct: Sequence[int | None]) -> list[Variant]:
    """Return for each run with alignment data what it differs in, runs of other draws being alike.

    Where the runs differ in how many rows they take, that is named by the samples they got, as ``10 samples``.

    Args:
        configs: the runs' configurations.
        distinct: the distinct samples of each run's alignment data; None where that is not known, and then all
            settings are named as they are.
    """
    if any(count is None for count in distinct):
        return [Variant(name) for name in variants(configs)]
    flat = [flatten({"dataset": config.get("dataset")}) for config in configs]
    limits = [tuple(sorted((key, keys[key]) for key in keys if _LIMIT.fullmatch(key))) for keys in flat]
    if len(set(limits)) == 1:
        return [Variant(name) for name in variants(configs, unless=_DRAW)]
    counts: dict[Any, set[int]] = defaultdict(set)
    for limit, count in zip(limits, distinct, strict=True):
        counts[limit].add(count or 0)
    names = {limit: _samples(found) for limit, found in counts.items()}
    given = list(names.values())
    for limit, name in names.items():
        if given.count(name) > 1:  # as many samples by settings that differ: not the same data
            names[limit] = ", ".join([name, *(f"{key}={value}" for key, value in limit)])
    others = variants(configs, unless=re.compile(f"{_LIMIT.pattern}|{_DRAW.pattern}"))
    return [
        Variant(", ".join(filter(None, [names[limit], other])), other)
        for limit, other in zip(limits, others, strict=True)
    ]


def _samples(counts: set[int]) -> str:
    few, many = min(counts), max(counts)
    return f"{few:,} to {many:,} samples" if few != many else f"{few:,} sample{'' if few == 1 else 's'}"


def variants(
    configs: Sequence[Mapping[str, Any]], without: Iterable[str] = (), unless: re.Pattern[str] | None = None
) -> list[str]:
    """Return for each config the settings in which they differ, as ``key=value, ..``; empty where they do not.

    Args:
        configs: the runs' configurations.
        without: top-level nodes that do not matter for what is compared.
        unless: keys that do not matter.
    """
    flat = [flatten(config) for config in configs]
    outside = _OUTSIDE | set(without)
    # A record of before there was a setting is as good as one with null.
    seen = {key: {other.get(key, _NULL) for other in flat} for keys in flat for key in keys}
    differing = [
        key
        for key in sorted(seen)
        if (len(seen[key]) > 1 or (key == _SHARE and _NULL not in seen[key]))
        and key.split(".")[0] not in outside
        and key not in _EPOCHS
        and not _SEED.fullmatch(key)
        and not (unless and unless.fullmatch(key))
    ]
    differing = _named(differing, flat)
    return [
        ", ".join(f"{key}={keys[key]}" for key in differing if key in keys and (key, keys[key]) != (_SHARE, _NULL))
        for keys in flat
    ]


def _named(differing: Sequence[str], flat: Sequence[dict[str, str]]) -> list[str]:
    """Leave out what the name of the evaluation tells already; the name itself is then shown as ``evaluation``."""
    if "evaluation.name" not in differing:
        return list(differing)
    told = []
    for key in filter(_EVALUATION.match, differing):
        settings = {(keys.get("evaluation.name"), keys.get(key)) for keys in flat}
        if len(settings) == len({name for name, _ in settings}):
            told.append(key)
    for keys in flat:
        keys["evaluation"] = keys.get("evaluation.name", "")
    return ["evaluation", *(key for key in differing if key not in told)]
