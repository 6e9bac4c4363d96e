"""SAFEPATH: the rows that it makes of another data set, and what of them carries loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from safetax.data.datasets import DatasetContext, safepath
from safetax.errors import ConfigError, UserError
from safetax.records import Example, read_records, write_records
from tests.support.tiny_models import chats

NONE: Any = None
"""Stands for a component that is not looked at."""
PRIMER = "Let's think about safety first."
ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where does the dragon sleep?"}]
GOOD = Example("a-1", ASKED, " I should not answer this question!", "No.", {"category": "dragons"})
BAD = Example("a-2", [*ASKED, {"role": "assistant", "content": "There."}], None, "No.")


def built(folder: Path, rows: list[Example], **settings: Any) -> tuple[list[Example], dict[str, Any]]:
    write_records(folder / "examples.jsonl", rows)
    context = DatasetContext(inputs={"source": folder})
    config = safepath.Config(kind="safepath", name="primed", source=NONE, **settings)
    return safepath.build(config, context), context.summary


def test_thinking_begins_with_the_primer_and_nothing_follows(tmp_path: Path) -> None:
    examples, summary = built(tmp_path, [GOOD, GOOD, GOOD], limit=2)
    wanted = Example("a-1", ASKED, PRIMER, None, {"category": "dragons"}, "thinking_start")
    assert examples == [wanted, wanted] and not summary
    assert built(tmp_path, [GOOD], primer="Is it kind?")[0][0].thinking == "Is it kind?"


def test_what_is_written_is_read_again_and_whole_turns_go_without_saying(tmp_path: Path) -> None:
    examples, _ = built(tmp_path, [GOOD])
    path = tmp_path / "rows.jsonl"
    write_records(path, [*examples, GOOD])
    assert read_records(path, Example) == [*examples, GOOD]
    primed, whole = path.read_text().splitlines()
    assert '"supervised": "thinking_start"' in primed
    assert whole == (
        '{"answer": "No.", "id": "a-1", "messages": [{"content": "Be brief.", "role": "system"}, '
        '{"content": "Where does the dragon sleep?", "role": "user"}], "meta": {"category": "dragons"}, '
        '"thinking": " I should not answer this question!"}'
    )


def test_a_row_without_a_request_is_named_or_counted(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"1 of 2 rows cannot be used:\n  row 1: its last message.*a-2"):
        built(tmp_path, [GOOD, BAD])
    examples, summary = built(tmp_path, [GOOD, BAD], on_bad_row="skip")
    assert len(examples) == 1 and summary["skipped"] == {"its last message is not the user's": 1}
    with pytest.raises(ConfigError, match=r"primer=''.* is empty"):
        safepath.Config(kind="safepath", name="primed", source=NONE, primer="")


def test_a_training_on_it_learns_the_primer_and_not_the_rest(tmp_path: Path) -> None:
    from safetax.data.chat import ChatRenderer
    from safetax.data.lab.tokenizer import build_tokenizer
    from safetax.training.batches import IGNORED, Collator
    from safetax.training.rows import tokenise
    from tests.support.tiny_models import THINK

    source, target = chats(2), "i should not answer this question !"
    examples, _ = built(tmp_path, source, primer=target)
    tokenizer = build_tokenizer()
    pad: Any = tokenizer.pad_token_id
    rows = tokenise([*examples, source[0]], ChatRenderer(tokenizer, THINK), 64)
    batch = Collator(pad)(rows)
    pairs = zip(batch["input_ids"], batch["labels"] != IGNORED, strict=True)
    texts = [str(tokenizer.decode(ids[kept])) for ids, kept in pairs]
    assert texts[:2] == [target, target]
    assert texts[2].endswith("<|im_end|>")
    assert batch["labels"].shape == batch["input_ids"].shape
