"""Harmful score by category of the prompt, and which categories a checkpoint's alignment data were taken from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from safetax.data.datasets._rows import each_of
from safetax.results.document import CountedEstimate
from safetax.results.metrics import HARMFUL_SCORE
from safetax.results.scores import Measured, benchmark_scores


def by_category(measured: Measured, examples: Iterable[Mapping[str, Any]], key: str) -> dict[str, CountedEstimate]:
    """Return a benchmark's harmful score by category of the prompt.

    Args:
        measured: what the headline judge measured.
        examples: the benchmark's prompts.
        key: what of a prompt's meta is its category: a text, a list of several, or a mapping from categories to
            whether they apply. A prompt of several categories counts in each, one without in none.
    """
    values = measured.values.get(HARMFUL_SCORE) or {}
    prompts: dict[str, list[str]] = {}
    for example in examples:
        if example["id"] in values:
            for category in _named(example["meta"].get(key)):
                prompts.setdefault(category, []).append(example["id"])
    found = {}
    for category in sorted(prompts):
        chosen = {HARMFUL_SCORE: {name: values[name] for name in prompts[category]}}
        part = replace(measured, values=chosen, groups=_within(measured, prompts[category]))
        score = benchmark_scores(part)[HARMFUL_SCORE]
        found[category] = CountedEstimate(score.value, score.low, score.high, score.n)
    return found


def trained_on(dataset: Any, key: str) -> list[str]:
    """Return the categories that a data set's configuration chooses, by a ``where`` with that key at any depth."""
    if isinstance(dataset, list):
        return [category for entry in dataset for category in trained_on(entry, key)]
    if not isinstance(dataset, Mapping):
        return []
    where = dataset.get("where")
    own = _named(where.get(key)) if isinstance(where, Mapping) else []
    below = [category for name, node in dataset.items() if name != "where" for category in trained_on(node, key)]
    return list(dict.fromkeys([*own, *below]))


def _named(value: Any) -> list[str]:
    return [] if value is None else [str(category) for category in each_of(value)]


def _within(measured: Measured, prompts: Iterable[str]) -> dict[str, str]:
    """Return the groups of repeated prompts that are still repeated among some of the prompts."""
    chosen = {name: measured.groups[name] for name in prompts if name in measured.groups}
    firsts = list(chosen.values())
    return {name: first for name, first in chosen.items() if firsts.count(first) > 1}
