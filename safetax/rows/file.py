"""Raw rows from a file of the user's own: JSON lines, a JSON list, or CSV with a header."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetax.errors import ConfigError, UserError
from safetax.manifest import sha256_of

SUFFIXES = (".jsonl", ".json", ".csv")


@dataclass(frozen=True)
class Config:
    """Where the file lies."""

    kind: str
    path: str


def resolve(config: Config) -> dict[str, Any]:
    """Return the content hash of the file, so that an edited file is a new data set.

    Raises:
        ConfigError: there is no such file, or it is of no kind that can be read.
    """
    path = Path(config.path).expanduser()
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"path={config.path}: expected a file that ends in {', '.join(SUFFIXES)}.")
    if not path.is_file():
        raise ConfigError(f"path={config.path}: there is no such file ({path.absolute()}).")
    return {"sha256": sha256_of(path)}


def load(config: Config) -> list[dict[str, Any]]:
    """Return the rows of the file.

    Raises:
        UserError: a line cannot be read; names it by number.
    """
    path = Path(config.path).expanduser()
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return [dict(row) for row in csv.DictReader(file)]
    if path.suffix == ".json":
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path} is no JSON: {error}.") from None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise UserError(f"{path} holds no list of objects.")
        return rows
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}, line {number} is no JSON: {error}.") from None
            if not isinstance(row, dict):
                raise UserError(f"{path}, line {number} is no object: {line[:60]}")
            rows.append(row)
    return rows
