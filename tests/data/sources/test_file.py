"""Rows of the user's own: every kind of file, column names, and what is said of those that cannot be read."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from safetax.data.sources import load_rows
from safetax.data.sources.file import Config, resolve
from safetax.errors import ConfigError, UserError
from safetax.store.status import Store
from tests.support.prepared import failure, from_file, planned, prepared, rows_file, work

ROWS = [
    {"question": "How many rolls?\u2028Now", "solution": "Count, and\ncount again.", "answer": "48"},
    {"question": 'Is it "48"?', "solution": "Yes; it is öde – 竜.\r\nSo.", "answer": "yes"},
    {"question": "Why?", "solution": "Long. " * 40_000, "answer": "Because."},
]
PAPER = ("world=paper", "format=s1")


def source(path: Path, **settings: Any) -> Config:
    return Config("file", str(path), **settings)


def write(folder: Path, name: str) -> Path:
    """Write the rows as a file or folder of the kind that the name says."""
    import csv

    from datasets import Dataset, DatasetDict
    from pyarrow import Table, parquet

    path = folder / name
    if name.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), encoding="utf-8")
    elif name.endswith(".json"):
        path.write_text(json.dumps(ROWS, indent=1), encoding="utf-8-sig")
    elif name.endswith((".csv", ".tsv")):
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, list(ROWS[0]), delimiter="\t" if name.endswith(".tsv") else ",")
            writer.writeheader()
            writer.writerows(ROWS)
    elif name.endswith(".parquet"):
        parquet.write_table(Table.from_pylist(ROWS), path)
    elif name == "saved":
        Dataset.from_list(ROWS).save_to_disk(str(path))
    else:
        parts = DatasetDict({"train": Dataset.from_list(ROWS), "test": Dataset.from_list(ROWS[:1])})
        parts.save_to_disk(str(path))
    return path


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.tsv", "rows.parquet", "saved"])
def test_every_kind_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    config = source(write(tmp_path, name))
    assert load_rows(config) == ROWS
    facts = resolve(config)
    assert facts == resolve(config)
    assert all(len(digest) == 64 for digest in (facts.get("files") or facts).values())


def test_a_folder_with_splits_wants_one_of_them(tmp_path: Path) -> None:
    path = write(tmp_path, "parts")
    assert load_rows(source(path, split="test")) == ROWS[:1]
    for split in (None, "dev"):
        with pytest.raises(UserError, match=f"split={split or 'null'}: name one of its splits, train, test"):
            load_rows(source(path, split=split))
    with pytest.raises(UserError, match="split=train: the folder has no splits"):
        load_rows(source(write(tmp_path, "saved"), split="train"))


def test_an_edited_file_is_another_data_set(tmp_path: Path) -> None:
    path = rows_file(tmp_path, ROWS)
    before = planned(*PAPER, "dataset=limo", from_file(path))
    rows_file(tmp_path, ROWS[:2])
    assert planned(*PAPER, "dataset=limo", from_file(path)).key != before.key
    rows_file(tmp_path, ROWS)
    assert planned(*PAPER, "dataset=limo", from_file(path)).key == before.key


def test_an_edited_folder_is_another_data_set(tmp_path: Path) -> None:
    path = write(tmp_path, "saved")
    before = resolve(source(path))
    (path / "state.json").write_text((path / "state.json").read_text() + " ")
    assert resolve(source(path)) != before


def test_a_file_that_changes_after_the_plan_is_not_read(tmp_path: Path) -> None:
    path = rows_file(tmp_path, ROWS)
    step, store = planned(*PAPER, "dataset=limo", from_file(path)), Store(tmp_path / "outputs")
    rows_file(tmp_path, ROWS[:1])
    assert work(store, step) == f"{path} has changed since this step was planned; run the same command again."
    rows_file(tmp_path, ROWS)
    assert work(store, step) is None


def test_columns_are_mapped(tmp_path: Path) -> None:
    theirs = [{"q": row["question"], "answer": row["solution"], "label": row["answer"], "x": 1} for row in ROWS]
    path = rows_file(tmp_path, theirs)
    mapped = from_file(path, "columns:{question:q,solution:answer,answer:label}")
    examples, _ = prepared(tmp_path, *PAPER, "dataset=limo", mapped)
    assert [example.messages[0]["content"] for example in examples] == [row["question"] for row in ROWS]
    assert [example.answer for example in examples] == [f"Answer: {row['answer']}" for row in ROWS]
    assert [example.thinking for example in examples] == [row["solution"].strip() + "\n" for row in ROWS]


def test_columns_that_are_swapped_are_swapped(tmp_path: Path) -> None:
    path = rows_file(tmp_path, [{"a": 1, "b": 2, "c": 3}, {"a": 4}])
    config = source(path, columns={"a": "b", "b": "a"})
    assert load_rows(config) == [{"a": 2, "b": 1, "c": 3}, {"b": 4}]


def test_a_column_that_no_row_has_is_named(tmp_path: Path) -> None:
    path = rows_file(tmp_path, ROWS)
    message = failure(tmp_path, *PAPER, "dataset=limo", from_file(path, "columns:{answer:answr}"))
    assert message == (
        "columns.answer=answr: the rows have no such column. Did you mean answer? "
        "Allowed are question, solution, answer."
    )


def test_settings_that_name_no_column_keep_old_fingerprints(tmp_path: Path) -> None:
    identity = planned(*PAPER, "dataset=limo", from_file(rows_file(tmp_path, ROWS))).identity["dataset"]["rows"]
    assert set(identity) == {"kind", "path", "resolved"}


def test_a_world_of_the_user_s_own(tmp_path: Path) -> None:
    """As the comment in conf/world/paper.yaml says: a folder with a world, given as --config-dir."""
    from safetax.config.compose import Composer

    path = rows_file(tmp_path, [{"prompt": "May I?", "response": "Hm.</think>No.", "label": "vanilla_harmful"}])
    (tmp_path / "world").mkdir()
    text = f"safechain:\n  kind: file\n  path: '{path}'\n  columns: {{instruction: prompt}}\n"
    (tmp_path / "world" / "mine.yaml").write_text(text)
    (job,) = Composer(str(tmp_path)).jobs(["world=mine", "dataset=safechain", "format=s1"], multirun=False)
    dataset: Any = job.config.dataset
    assert load_rows(dataset.rows)[0]["instruction"] == "May I?"
    assert dataset.answer_prefix == "Answer: "


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("rows.jsonl", b'{"a": 1}\n{"a"\n', "line 2 is no JSON"),
        ("rows.jsonl", b'{"a": 1}\n\n[1]\n', "line 3 is no object but a list, [1]; mend the line"),
        ("rows.json", b'{"a": 1}', "holds no list of objects"),
        ("rows.json", b"[1, 2", "is no JSON"),
        ("rows.csv", b"a,b\n1,2\n1,2,3\n", "line 3 has 3 cells; the header 2"),
        ("rows.csv", b"a,b\n1\n", "line 2 has 1 cells; the header 2"),
        ("rows.csv", b'a,b\n1,"2\n', "is no CSV: unexpected end of data"),
        ("rows.csv", b"a,a\n1,2\n", "line 1 names the column 'a' twice; rename one of them"),
        ("rows.parquet", b"PAR1 not really", "is no Parquet file"),
        ("rows.parquet", b"", "is no Parquet file"),
        ("rows.jsonl", b'{"a": 1, "a": 2}\n', "line 1 is no JSON: it has 'a' twice; keep one of them"),
        ("rows.jsonl", b'{"a": 1}\n{"a": NaN}\n', "line 2 is no JSON: NaN is no number of JSON; write null"),
        ("rows.jsonl", b'{"a": -Infinity}\n', "line 1 is no JSON: -Infinity is no number"),
        (
            "rows.jsonl",
            b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
            "line 1 is nested too deeply; make it flat",
        ),
        ("rows.json", b"[" * 100_000, "is nested too deeply"),
        ("rows.jsonl", b'{"a": ' + b"7" * 5000 + b"}\n", "line 1 is no JSON: Exceeds the limit (4300 digits)"),
        ("rows.jsonl", b"\0\0\0\0", "line 1 is no JSON"),
        ("rows.jsonl", '{"a": 1}'.encode("utf-16"), "is no UTF-8 text (byte 0): save it as UTF-8"),
        ("rows.json", b"null", "holds no list of objects but null"),
        ("rows.json", b'[{"a": 1}, 7]', "holds no list of objects: entry 1 is a number"),
        ("rows.jsonl", "{'ä': 1}".encode("latin-1"), "is no UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(name: str, content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_rows(source(path))
    assert str(caught.value).startswith(f"path={path}")
    assert expected in str(caught.value)
    assert "set_int_max" not in str(caught.value), "a library's advice is none of ours"


def test_a_file_that_is_not_there_is_found_out_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "empty").mkdir()
    cases = {
        tmp_path / "absent.jsonl": "there is no such file or folder",
        tmp_path / "notes.txt": "expected a file that ends in .jsonl, .json, .csv, .tsv, .parquet, or a folder",
        tmp_path / "empty": "this folder holds no data set; allowed are folders that save_to_disk",
    }
    for path, expected in cases.items():
        with pytest.raises(ConfigError) as caught:
            planned(*PAPER, "dataset=limo", from_file(path))
        assert str(caught.value).startswith(f"dataset.rows.path={path}: {expected}")
    with pytest.raises(ConfigError, match=r"dataset\.rows\.split=train does not go with the file"):
        planned(*PAPER, "dataset=limo", from_file(rows_file(tmp_path, ROWS), "split:train"))


def test_an_empty_file_makes_no_data_set(tmp_path: Path) -> None:
    path = rows_file(tmp_path, [])
    message = failure(tmp_path, *PAPER, "dataset=limo", from_file(path))
    assert message == f"dataset limo: there are no rows in {path}; fill it, or name another with dataset.rows.path."


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("half \ud800 pair", "its text holds half of a surrogate pair (U+D800)"),
        ("nul \0", "its text holds a NUL character"),
    ],
)
def test_text_that_no_file_can_keep_is_a_bad_row(value: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (ROWS[0], {**ROWS[1], "answer": value})))
    message = failure(tmp_path, *PAPER, "dataset=limo", from_file(path))
    assert f"row 1: {said}" in message and "on_bad_row=skip" in message
    examples, _ = prepared(tmp_path, *PAPER, "dataset=limo", "dataset.on_bad_row=skip", from_file(path))
    assert len(examples) == 1


def test_columns_that_nobody_reads_may_hold_anything(tmp_path: Path) -> None:
    from pyarrow import Table, parquet

    path = tmp_path / "rows.parquet"
    parquet.write_table(Table.from_pylist([{**row, "score": float("nan")} for row in ROWS]), path)
    examples, _ = prepared(tmp_path, *PAPER, "dataset=limo", from_file(path))
    assert len(examples) == len(ROWS)


def test_a_parquet_file_that_is_cut_or_has_a_column_twice(tmp_path: Path) -> None:
    from pyarrow import Table, parquet

    path = write(tmp_path, "rows.parquet")
    whole = path.read_bytes()
    for part in (whole[: len(whole) // 2], whole[:-1], whole[:40] + bytes(40) + whole[80:]):
        path.write_bytes(part)
        with pytest.raises(UserError, match=r"rows\.parquet is no Parquet file: .*; write it again"):
            load_rows(source(path))
    parquet.write_table(Table.from_arrays([[1], [2]], names=["a", "a"]), path)
    with pytest.raises(UserError, match="has the column 'a' twice; rename one of them"):
        load_rows(source(path))


DAMAGE = {
    "an arrow file that is cut": lambda folder: next(folder.glob("*.arrow")).write_bytes(b"ARROW1"),
    "an arrow file that is gone": lambda folder: next(folder.glob("*.arrow")).unlink(),
    "an empty arrow file": lambda folder: next(folder.glob("*.arrow")).write_bytes(b""),
    "no state": lambda folder: (folder / "state.json").unlink(),
    "a state that is no JSON": lambda folder: (folder / "state.json").write_text("{"),
    "a state that is a list": lambda folder: (folder / "state.json").write_text("[]"),
    "an info that is no JSON": lambda folder: (folder / "dataset_info.json").write_text("nothing"),
    "an info that is empty": lambda folder: (folder / "dataset_info.json").write_text(""),
    "an info of other columns": lambda folder: (folder / "dataset_info.json").write_text('{"features": {"a": 1}}'),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_saved_set_that_is_damaged_is_one_message(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, "saved")
    DAMAGE[name](path)
    with pytest.raises(
        UserError, match=r"saved.*(damaged \(.*save it again with save_to_disk|cannot be read|no UTF-8)"
    ) as told:
        load_rows(source(path))
    assert "trust_remote_code" not in str(told.value) and "\n" not in str(told.value)


def test_what_is_no_regular_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jsonl")
    (tmp_path / "loop.jsonl").symlink_to(tmp_path / "loop.jsonl")
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.jsonl"))
    with (tmp_path / "huge.jsonl").open("wb") as file:
        file.truncate(2**40)
    saved = write(tmp_path, "saved")
    os.mkfifo(saved / "more.arrow")
    cases = {
        "fifo.jsonl": "this is a FIFO; allowed is a regular file",
        "socket.jsonl": "this is a socket",
        "zero.jsonl": "this is a device",
        "loop.jsonl": "its symbolic links lead in a circle",
        "huge.jsonl": "it has 1,048,576 MiB; allowed are up to 16,384",
        f"{'x' * 300}.jsonl": "the name is too long for this file system",
        "saved": "more.arrow: this is a FIFO",
        "nul\0.jsonl": "a path holds no NUL character",
    }
    for name, expected in cases.items():
        for read in (resolve, load_rows):
            with pytest.raises(ConfigError) as caught:
                read(Config("file", f"{tmp_path}/{name}"))
            assert expected in str(caught.value), name
    with pytest.raises(ConfigError, match="there is no such user"):
        resolve(Config("file", "~no-such-user/rows.jsonl"))
