"""Data sets that are made of files on this machine, made once before anything runs: a bad row is told then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from safetax.data.building import build_examples
from safetax.data.datasets import DatasetContext


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
    build_examples(dataset, DatasetContext({}, dataset.get("resolved", {})), vocabulary=vocabulary)
