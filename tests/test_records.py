"""Records on disk: what was written is read, and what was changed since is named with the remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from safetax.errors import UserError
from safetax.records import Example, Response, Verdict, from_json, read_records, to_json, write_records

EXAMPLE = Example("a", [{"role": "user", "content": "hi"}], meta={"harmful": True})
RESPONSE = Response("a", 0, None, "hello", 0, 1, "none", "stop", 7)
VERDICT = Verdict("a", 0, "refused", refused=True)


@pytest.mark.parametrize("record", [EXAMPLE, RESPONSE, VERDICT])
def test_records_are_read_as_they_were_written(record: Any, tmp_path: Path) -> None:
    assert write_records(tmp_path / "rows.jsonl", [record, record]) == 2
    assert read_records(tmp_path / "rows.jsonl", type(record)) == [record, record]


def test_a_response_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    row = json.loads(to_json(RESPONSE))
    row["glue"] = row.pop("transition")
    assert from_json(Response, row) == RESPONSE


@pytest.mark.parametrize("record", [EXAMPLE, RESPONSE, VERDICT])
def test_a_value_of_another_type_in_any_field_is_found(record: Any) -> None:
    row = json.loads(to_json(record))
    for name in row:
        for value in (3.5, {"a": []}, [[]], True, "text"):
            if type(value) is type(row[name]) or (row[name] is None and isinstance(value, bool | str)):
                continue
            with pytest.raises(TypeError):
                from_json(type(record), {**row, name: value})


@pytest.mark.parametrize("message", [None, "text", {}, {"role": "user"}])
def test_a_message_that_is_none_is_found(message: Any) -> None:
    with pytest.raises(TypeError, match="one of its messages is"):
        from_json(Example, {"id": "a", "messages": [message]})


@pytest.mark.parametrize("line", [b"{", b"[]", b"3", b"null", b"{}", b"\xff", b"[" * 100_000, b'{"id": 3}'])
def test_a_line_that_was_changed_is_named_with_the_remedy(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "score" / "0123456789ab" / "verdicts.jsonl"
    path.parent.mkdir(parents=True)
    write_records(path, [VERDICT])
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(UserError) as told:
        read_records(path, Verdict)
    assert str(path) in str(told.value) and f"remove the folder {path.parent}" in str(told.value)
