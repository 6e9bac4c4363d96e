"""A log that was cut is read up to the cut, and gone on with; responses of earlier versions are read as well."""

from __future__ import annotations

import json
from pathlib import Path

from safetax.records import Response, Verdict, read_records, to_json
from safetax.store.append_log import AppendLog, read_log


def test_a_line_that_was_cut_does_not_run_into_the_next(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    assert list(read_log(path, Verdict)) == []
    first, second = Verdict("a", 0, "sicher, nämlich"), Verdict("b", 1, "unsafe", harmful=True)
    with AppendLog(path, [first]) as log:
        log.append(second)
        assert list(read_log(path, Verdict)) == [first, second]
    line = to_json(first).encode()
    path.write_bytes(path.read_bytes() + line[: line.index(b"\xc3") + 1])  # in the middle of a character
    kept = list(read_log(path, Verdict))
    assert kept == [first, second]
    with AppendLog(path, kept) as log:
        log.append(first)
    assert read_records(path, Verdict) == [first, second, first]


def test_what_stands_between_thinking_and_answer_had_another_name(tmp_path: Path) -> None:
    response = Response("a", 0, "think", "answer", 1, 1, "closed", "stop", 7, transition="</think>")
    row = json.loads(to_json(response))
    row["glue"] = row.pop("transition")
    (tmp_path / "responses.jsonl").write_text(json.dumps(row) + "\n")
    assert read_records(tmp_path / "responses.jsonl", Response) == [response]
    assert list(read_log(tmp_path / "responses.jsonl", Response)) == [response]
