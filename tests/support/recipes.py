"""The published recipes' rows, and the text that each is rendered to, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from safetax.config.build import build
from safetax.config.hydra import conf_directory
from safetax.config.schema import Format
from safetax.data.sources import file
from tests.support.places import ROOT
from tests.support.prepared import rows_file

RECIPES = ("direct_refusal", "safechain", "s1k", "limo")
PAPER = ("world=paper", "format=s1")
UNUSED: Any = None
"""Stands for a component that is not looked at."""


def golden(recipe: str) -> list[dict[str, Any]]:
    return json.loads((ROOT / "tests" / "data" / "golden_rows" / f"{recipe}.json").read_text(encoding="utf-8"))


def texts(recipe: str) -> list[str]:
    return ["".join(case["text"]) for case in golden(recipe) if case["text"] is not None]


def good(recipe: str) -> dict[str, Any]:
    return golden(recipe)[0]["row"]


def markup(name: str) -> Format:
    return build(Format, yaml.safe_load((conf_directory() / "format" / f"{name}.yaml").read_text()))


def source(folder: Path, rows: list[dict[str, Any]]) -> file.Config:
    """A row source of these rows."""
    return file.Config("file", str(rows_file(folder, rows)))
