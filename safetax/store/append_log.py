"""Records that an unfinished step keeps as they come, a JSON line each: a restart asks only for what is missing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Generic

from safetax.records import Record, from_json, to_json, write_records
from safetax.store.atomic import replacing


def parse_lines(lines: Iterable[bytes], record_type: type[Record]) -> Iterator[Record]:
    """Yield the records of JSON lines; a line that was cut in the middle, perhaps of a character, is passed over."""
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            yield from_json(record_type, json.loads(line))


def read_log(path: Path, record_type: type[Record]) -> Iterator[Record]:
    """Yield the whole records of a log; nothing where there is none."""
    return parse_lines(path.read_bytes().split(b"\n") if path.is_file() else (), record_type)


class AppendLog(Generic[Record]):
    """A file that records are appended to, each on the disk at once.

    Args:
        path: the file.
        kept: records to begin with in place of what stands there: a line that was cut must not run into the next.
    """

    def __init__(self, path: Path, kept: Iterable[Record] = ()) -> None:
        with replacing(path) as written:
            write_records(written, kept)
        self._file = path.open("a", encoding="utf-8")

    def append(self, record: Record) -> None:
        """Append a record."""
        self._file.write(to_json(record) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> AppendLog[Record]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
