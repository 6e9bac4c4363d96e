"""Data sets that are made of files on this machine, made once before anything runs: a bad row is told then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from safetax.config.components import component_module
from safetax.config.identity import restore
from safetax.data.datasets import DatasetContext
from safetax.data.lab.tokenizer import check_words


def is_local(dataset: Mapping[str, Any]) -> bool:
    """Whether a data set of safetax's own kinds is made of the rows of a file or folder, by its identity."""
    rows = dataset.get("rows")
    return "." not in dataset["kind"] and isinstance(rows, Mapping) and rows.get("kind") == "file"


def rehearse(dataset: Mapping[str, Any], vocabulary: str | None) -> None:
    """Make the examples of a local data set, and throw them away.

    Args:
        dataset: its identity.
        vocabulary: ``lab``, where the lab's models are to be trained on it.

    Raises:
        UserError: its rows cannot be read or used.
    """
    config = restore("datasets", dataset)
    context = DatasetContext({}, dataset.get("resolved", {}))
    examples = component_module("datasets", config.kind).build(config, context)
    if vocabulary == "lab":
        check_words(examples, config.name)
