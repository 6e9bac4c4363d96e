"""Raw rows from a file or folder of the user's own."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from safetax.config.fields import HashedUnless
from safetax.data.user_files import LARGEST_DATA, check_file, expanded, kind_of, shown
from safetax.errors import ConfigError, UserError
from safetax.store.hashes import cached_sha256

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
    path = expanded(config.path, "path")
    kind = kind_of(path, "path")
    if kind == "folder":
        if not any((path / name).is_file() for name in ("dataset_info.json", "dataset_dict.json")):
            raise ConfigError(
                f"path={shown(config.path)}: this folder holds no data set; allowed are folders that save_to_disk of "
                f"the library datasets wrote, and files that end in {', '.join(SUFFIXES)}."
            )
        return {"files": {str(file.relative_to(path)): cached_sha256(file) for file in _files_in(path)}}
    if kind is None:
        raise ConfigError(f"path={shown(config.path)}: there is no such file or folder ({shown(path.absolute())}).")
    check_file(path, "path")
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"path={shown(path)}: expected a file that ends in {', '.join(SUFFIXES)}, or a folder.")
    if config.split is not None:
        raise ConfigError(f"split={config.split} does not go with the file {shown(path)}; set it to null.")
    return {"sha256": cached_sha256(path)}


def _files_in(folder: Path) -> list[Path]:
    """Return the files of a folder, sorted. Raises ConfigError where something else lies there, or too much."""
    files = [path for path in sorted(folder.rglob("*")) if not path.is_dir()]
    for path in files:
        check_file(path, "path")
    size = sum(path.stat().st_size for path in files)
    if size > LARGEST_DATA:
        raise ConfigError(
            f"path={shown(folder)}: its files have {size / 2**30:,.0f} GiB; allowed are up to "
            f"{LARGEST_DATA / 2**30:,.0f}. Save a part of the rows."
        )
    return files


def load(config: Config) -> list[dict[str, Any]]:
    """Return the rows.

    Raises:
        UserError: they cannot be read; names the line or row where there is one.
    """
    path = expanded(config.path, "path")
    try:
        if kind_of(path, "path") == "folder":
            return _folder(path, config.split)
        check_file(path, "path")
        return _READERS[path.suffix](path)
    except UnicodeDecodeError as error:
        raise UserError(f"path={shown(path)} is no UTF-8 text (byte {error.start}): save it as UTF-8.") from None
    except OSError as error:
        raise UserError(f"path={shown(path)} cannot be read: {error.strerror or error}.") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; one that has a key twice is none."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has {shown(twice)!r} twice; keep one of them")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON; write null")


def _parsed(text: str, place: str) -> Any:
    """Return what JSON says. Raises UserError that names the place where it is none."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except RecursionError:
        raise UserError(f"{place} is nested too deeply; make it flat.") from None
    except ValueError as error:  # of a number that is too long Python says how to allow it
        raise UserError(f"{place} is no JSON: {str(error).partition('; use ')[0]}; mend it.") from None


def _json_lines(path: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(_text(path).split("\n"), 1):  # other line ends may stand inside a text
        if line.strip():
            row = _parsed(line, f"path={shown(path)}, line {number}")
            if not isinstance(row, dict):
                told = f"{_kind(row)}, {shown(line[:60])}"
                raise UserError(f"path={shown(path)}, line {number} is no object but {told}; mend the line.")
            rows.append(row)
    return rows


def _json(path: Path) -> list[dict[str, Any]]:
    rows = _parsed(_text(path), f"path={shown(path)}")
    if not isinstance(rows, list):
        raise UserError(f"path={shown(path)} holds no list of objects but {_kind(rows)}; write [{{..}}, {{..}}].")
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise UserError(f"path={shown(path)} holds no list of objects: entry {number} is {_kind(row)}; mend it.")
    return rows


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8-sig")


def _csv(path: Path) -> list[dict[str, Any]]:
    csv.field_size_limit(sys.maxsize)  # a trace is longer than the default
    rows = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
        try:
            header = next(reader, [])
            twice = next((name for name in header if header.count(name) > 1), None)
            if twice is not None:
                raise UserError(
                    f"path={shown(path)}, line 1 names the column {shown(twice)!r} twice; rename one of them."
                )
            for cells in reader:
                if cells and len(cells) != len(header):
                    raise UserError(
                        f"path={shown(path)}, line {reader.line_num} has {len(cells)} cells; the header {len(header)}. "
                        "Quote cells that hold the separator."
                    )
                rows.extend([dict(zip(header, cells, strict=True))] if cells else [])
        except csv.Error as error:
            kind = path.suffix[1:].upper()
            raise UserError(f"path={shown(path)}, line {reader.line_num} is no {kind}: {error}; mend it.") from None
    return rows


def _parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(path).read()
        names = table.column_names
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UserError(f"path={shown(path)} has the column {shown(twice)!r} twice; rename one of them.")
        return table.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise UserError(f"path={shown(path)} is no Parquet file: {_first_line(error)}; write it again.") from None


_READERS = {".jsonl": _json_lines, ".json": _json, ".csv": _csv, ".tsv": _csv, ".parquet": _parquet}


def _folder(path: Path, split: str | None) -> list[dict[str, Any]]:
    from datasets import DatasetDict, load_from_disk

    _files_in(path)
    try:
        loaded: Any = load_from_disk(str(path))
        if isinstance(loaded, DatasetDict):
            splits = [str(name) for name in loaded]
            if split is None and len(splits) == 1:
                split = splits[0]
            if split not in splits:
                raise UserError(
                    f"path={shown(path)}, split={split or 'null'}: name one of its splits, {', '.join(splits)}."
                )
            loaded = loaded[split]
        elif split is not None:
            raise UserError(f"path={shown(path)}, split={split}: the folder has no splits; set split to null.")
        return [dict(row) for row in loaded]
    except UserError:
        raise
    except Exception as error:  # damage makes the library raise whatever it stumbles over
        raise UserError(
            f"path={shown(path)}: this saved data set is damaged ({type(error).__name__}: {_first_line(error)}); save "
            "it again with save_to_disk, or name another."
        ) from None


def _first_line(error: Exception) -> str:
    """Return the first line of what a library says, without what it advises."""
    return shown((str(error).strip().splitlines() or [type(error).__name__])[0]).rstrip(".")
