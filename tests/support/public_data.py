"""Fetch the public data that tests read from the hub: ``python -m tests.support.public_data [FOLDER] [--list]``.

Says of each file what it is, and fetches those that are missing; without a folder into ``tests/data/public``, where the
tests look. Another folder is named to them by ``SAFETAX_TEST_DATA``. Rows that are not those that the tests were
written with are told by their digest, which does not depend on how a file is laid out.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetax.data.sources import file as files
from safetax.data.sources import hub
from safetax.errors import UserError
from tests.support.places import FETCHED

Row = dict[str, Any]


@dataclass(frozen=True)
class PublicFile:
    """A file of public data and where the hub has its rows."""

    name: str
    repository: str
    licence: str
    rows: int
    size: int
    """Bytes of the file, about."""
    digest: str
    """SHA-256 of the rows; see :func:`digest_of`."""
    splits: tuple[str, ...] = ("test",)
    subset: str | None = None
    converted: Callable[[str, Row], Row] = lambda split, row: row
    """Makes our row of a split's row."""


def _aime(split: str, row: Row) -> Row:
    kept = ("id", "problem", "solution", "answer", "url")
    return {**{column: row[column] for column in kept}, "question": row["problem"]}


def _labelled(split: str, row: Row) -> Row:
    label = row["final_label"].partition("_")[2]  # 1_full_compliance
    return {
        "model": split,
        **{column: row[column] for column in ("id", "type", "prompt", "completion")},
        "label": label,
    }


MODELS = ("mistralguard", "llama2orig")
FILES = (
    PublicFile(
        "math500.jsonl",
        "HuggingFaceH4/MATH-500",
        "MIT",
        500,
        446_563,
        "b679c245a9ffb69377c4b96676e86d8e26f155dec8cd3f9106e74aaf26534c7e",
    ),
    PublicFile(
        "aime24.jsonl",
        "HuggingFaceH4/aime_2024",
        "public competition problems",
        30,
        156_937,
        "d604a57aaf2c7464844195cb8de58278fd43ff15617649a9ba4df8c58ba714c1",
        splits=("train",),
        converted=_aime,
    ),
    PublicFile(
        "gsm8k_train.jsonl",
        "openai/gsm8k",
        "MIT",
        7473,
        4_166_206,
        "78032424859cc7caf28151f69ab6497d37535334e1eacc0269efa2dd62433662",
        splits=("train",),
        subset="main",
    ),
    PublicFile(
        "gsm8k_test.jsonl",
        "openai/gsm8k",
        "MIT",
        1319,
        749_738,
        "dfca7a7de99a90d0943a2d260850ac8eb0a84bc771a2d715160f05d0896f39c6",
        subset="main",
    ),
    PublicFile(
        "star1.json",
        "UCSC-VLAA/STAR-1",
        "Apache-2.0",
        1000,
        2_336_344,
        "6c5a86c17f1998af6c28b7c89035f1f7d81ea2b2bb8ea7901d540fb75c86d742",
        splits=("train",),
    ),
    PublicFile(
        "xstest_prompts.csv",
        "Paul/XSTest",
        "CC BY 4.0",
        450,
        38_719,
        "5af63d692a3230f57a568161fb27f6edb324d1118d2577db01f606b8aa23d7f2",
        splits=("train",),
    ),
    PublicFile(
        "xstest_labelled.csv",
        "natolambert/xstest-v2-copy",
        "CC BY 4.0",
        900,
        749_560,
        "0d125d532be5fd9e3a5e1746ec3e9d4733611360c6e0a1ad61766b5c9a87eea1",
        splits=MODELS,
        converted=_labelled,
    ),
)


def read(path: Path) -> list[Row]:
    """Return the rows of a file."""
    return files.load(files.Config("file", str(path)))


def digest_of(rows: list[Row]) -> str:
    """Return the SHA-256 of rows, whatever the order of their columns; columns that are null count as left out."""
    return hashlib.sha256(json.dumps(_without_null(rows), sort_keys=True).encode()).hexdigest()


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(inner) for key, inner in value.items() if inner is not None}
    return [_without_null(inner) for inner in value] if isinstance(value, list) else value


def fetch(file: PublicFile, folder: Path) -> None:
    """Write a file with rows of the hub.

    Raises:
        UserError: the hub cannot be reached, or does not give them.
    """
    rows = [
        file.converted(split, row)
        for split in file.splits
        for row in hub.load(hub.Config("hub", file.repository, split=split, subset=file.subset))
    ]
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{file.name}"
    partial.write_text(_text(file.name, rows), encoding="utf-8", newline="")
    partial.replace(folder / file.name)


def _text(name: str, rows: list[Row]) -> str:
    if name.endswith(".csv"):
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()
    if name.endswith(".json"):
        return json.dumps(rows, indent=4, ensure_ascii=False)
    return "".join(json.dumps(row) + "\n" for row in rows)


def main() -> int:
    """Fetch what is missing; returns 1 where something could not be had."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=FETCHED)
    parser.add_argument("--list", action="store_true", help="only say what belongs there")
    options = parser.parse_args()
    failed = 0
    for file in FILES:
        path, state = options.folder / file.name, "there"
        if not path.is_file() and not options.list:
            try:
                fetch(file, options.folder)
                state = "fetched"
            except UserError as error:
                failed, state = 1, str(error)
        if not path.is_file():
            state = "missing" if options.list else state
        elif digest_of(read(path)) != file.digest:
            state += "; its rows are not those that the tests were written with"
        print(f"{file.name:<20}{file.rows:>6,} rows {file.size:>10,} bytes  {file.digest[:12]}  {file.licence}")
        print(f"    {file.repository} ({', '.join(file.splits)}): {state}")
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
