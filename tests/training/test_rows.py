"""Rows that cannot be trained on: named, or skipped and counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safetax.errors import UserError
from safetax.records import Example, read_records, write_records
from safetax.store.manifest import clear
from tests.support.tiny_models import chats, save_tiny, training_step
from tests.support.tiny_trainings import (
    aligned_step,
    summary_of,
    train_by_hand,
    train_in_process,
)


def test_row_without_loss_is_named(copied_lab: Path) -> None:
    step = aligned_step(copied_lab)
    data = copied_lab / json.loads((step / "step.json").read_text())["inputs"]["data"] / "examples.jsonl"
    examples = read_records(data, Example)
    examples[3] = Example(examples[3].id, examples[3].messages, None, "")
    write_records(data, examples)
    clear(step)
    done = train_by_hand(step)
    assert done.returncode == 2
    assert "Row 3" in done.stderr and examples[3].id in done.stderr and "answer is empty" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (step / "manifest.json").exists()


def test_row_that_is_too_long_is_named() -> None:
    from safetax.config.schema import Format
    from safetax.data.chat import ChatRenderer
    from safetax.data.lab.tokenizer import build_tokenizer
    from safetax.training.rows import tokenise

    renderer = ChatRenderer(build_tokenizer(), Format("tags", "<think>", "</think>"))
    example = Example("row", [{"role": "user", "content": "how do i"}], "i should", "i can not help with that .")
    length = len(tokenise([example], renderer, 100)[0].tokens)
    with pytest.raises(UserError, match=rf"Row 0 \(row\).*{length} tokens, more than max_tokens={length - 1}"):
        tokenise([example], renderer, length - 1)
    with pytest.raises(UserError, match="no rows"):
        tokenise([], renderer, 100)


def test_bad_rows_are_skipped_and_counted_where_the_data_say_so(tmp_path: Path) -> None:
    start = save_tiny(tmp_path / "start", "llama")
    rows = chats(9)
    rows[2] = Example("long", rows[2].messages, " ".join(["i"] * 80), "i can .")
    rows[5] = Example("empty", rows[5].messages, None, "")
    step = training_step(tmp_path / "o", start, rows, on_bad_row="skip")
    assert train_in_process(step) == 0
    summary = summary_of(step)
    assert (summary["examples"], summary["skipped"]) == (7, 2)
    assert "Row 2 (long)" in summary["skipped_rows"][0] and "more than max_tokens=64" in summary["skipped_rows"][0]
    assert "Row 5 (empty)" in summary["skipped_rows"][1]
    strict = training_step(tmp_path / "p", start, rows)
    assert train_in_process(strict) == 2
    none = training_step(tmp_path / "q", start, [rows[2]], on_bad_row="skip")
    assert train_in_process(none) == 2
