"""Raw rows from a file or folder of the user's own."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from safetax.config.fields import HashedUnless
from safetax.data.user_files import user_path
from safetax.errors import ConfigError, UserError
from safetax.store.manifest import sha256_of

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


@dataclass(frozen=True)
class Config:
    """Where the rows lie: JSON lines or list, CSV or TSV with a header, Parquet, or a folder of ``save_to_disk``."""

    kind: str
    path: str
    columns: Annotated[dict[str, str], HashedUnless({})] = field(default_factory=dict)
    """Our name of a column: theirs."""
    split: Annotated[str | None, HashedUnless(None)] = None
    """Which split of a folder that holds several."""


def resolve(config: Config) -> dict[str, Any]:
    """Return the content hashes of what is there, so that an edited file is a new data set.

    Raises:
        ConfigError: there is no such file or folder, or it is of no kind that can be read.
    """
    path = user_path(config.path, "path")
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        if not any(file.name in ("dataset_info.json", "dataset_dict.json") for file in files):
            raise ConfigError(
                f"path={config.path}: this folder holds no data set; allowed are folders that save_to_disk of the "
                f"library datasets wrote, and files that end in {', '.join(SUFFIXES)}."
            )
        return {"files": {str(file.relative_to(path)): sha256_of(file) for file in files}}
    if not path.exists():
        raise ConfigError(f"path={config.path}: there is no such file or folder ({path.absolute()}).")
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"path={config.path}: expected a file that ends in {', '.join(SUFFIXES)}, or a folder.")
    if config.split is not None:
        raise ConfigError(f"split={config.split} does not go with the file {config.path}; set it to null.")
    return {"sha256": sha256_of(path)}


def load(config: Config) -> list[dict[str, Any]]:
    """Return the rows.

    Raises:
        UserError: they cannot be read; names the line where there is one.
    """
    path = Path(config.path).expanduser()
    try:
        if path.is_dir():
            return _folder(path, config.split)
        if path.suffix == ".parquet":
            return _parquet(path)
        if path.suffix in (".csv", ".tsv"):
            return _csv(path, "\t" if path.suffix == ".tsv" else ",")
        text = path.read_text(encoding="utf-8-sig")
        return _json(path, text) if path.suffix == ".json" else _json_lines(path, text)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no UTF-8 text (byte {error.start}): save it as UTF-8.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None


def _json_lines(path: Path, text: str) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):  # other line ends may stand inside a text
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}, line {number} is no JSON: {error}.") from None
            if not isinstance(row, dict):
                raise UserError(f"{path}, line {number} is no object: {line[:60]}")
            rows.append(row)
    return rows


def _json(path: Path, text: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}.") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path} holds no list of objects.")
    return rows


def _csv(path: Path, delimiter: str) -> list[dict[str, Any]]:
    csv.field_size_limit(sys.maxsize)  # a trace is longer than the default
    rows = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        try:
            header = next(reader, [])
            for cells in reader:
                if cells and len(cells) != len(header):
                    raise UserError(f"{path}, line {reader.line_num} has {len(cells)} cells; the header {len(header)}.")
                rows.extend([dict(zip(header, cells, strict=True))] if cells else [])
        except csv.Error as error:
            raise UserError(f"{path}, line {reader.line_num} is no {path.suffix[1:].upper()}: {error}.") from None
    return rows


def _parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path).read().to_pylist()
    except pyarrow.ArrowException as error:
        raise UserError(f"{path} is no Parquet file: {error}.") from None


def _folder(path: Path, split: str | None) -> list[dict[str, Any]]:
    from datasets import DatasetDict, load_from_disk

    loaded: Any = load_from_disk(str(path))
    if isinstance(loaded, DatasetDict):
        splits = [str(name) for name in loaded]
        if split is None and len(splits) == 1:
            split = splits[0]
        if split not in splits:
            raise UserError(f"path={path}, split={split or 'null'}: name one of its splits, {', '.join(splits)}.")
        loaded = loaded[split]
    elif split is not None:
        raise UserError(f"path={path}, split={split}: the folder has no splits; set split to null.")
    return [dict(row) for row in loaded]
