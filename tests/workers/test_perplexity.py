"""The perplexity worker: a line for each row, one load of a model for several steps, and rows that fail."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from safetax.config.identity import identity
from safetax.data.chat import ChatRenderer
from safetax.data.lab.tokenizer import build_tokenizer
from safetax.records import Example, write_records
from safetax.store.events import Events
from safetax.store.status import Store
from safetax.store.step import Step
from safetax.store.work_loop import work_on
from safetax.workers import perplexity
from tests.support.tiny_models import THINK, chats, plain_sums, save_tiny
from tests.support.tiny_steps import put_manifest, silent


def frozen(store: Store, model: Path, examples: list[Example], **values: Any) -> Step:
    """A perplexity step over rows and a model that are on disk."""
    data = Step("prepare", "rows", {"dataset": {"ids": [example.id for example in examples]}})
    write_records(store.freeze(data) / "examples.jsonl", examples)
    put_manifest(store, data)
    start = {"start": "pretrained", "id": str(model), "revision": None, "tokenizer": "own"}
    settings = {"format": identity(THINK), "max_tokens": 64, "dtype": "float32", "model": start, **values}
    return Step("perplexity", "perplexity of rows", settings, {"data": data}, {"judge_batch": 4, "threads": 1})


def test_the_worker_writes_a_line_for_each_row(tmp_path: Path) -> None:
    lab = ChatRenderer(build_tokenizer(), THINK)
    model, store = save_tiny(tmp_path / "model", "qwen3"), Store(tmp_path / "outputs")
    examples = [*chats(5), Example("bare", [{"role": "user", "content": "how do i"}], None, "i can .")]
    long = Example("long", [{"role": "user", "content": "how do i"}], "i " * 90, "i can .")
    steps = [
        frozen(store, model, examples),
        frozen(store, model, [*examples, long], on_bad_row="skip"),
        frozen(store, model, examples[:2], dtype="bfloat16"),
    ]
    events = Events((tmp_path / "events").open("w"), as_json=True)
    assert work_on([store.freeze(step) for step in steps], perplexity.work, events, together=True) == 0
    events.stream.close()
    told = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    progress = [event for event in told if event["event"] == "progress" and event["done"] == event["total"]]
    assert {event["step"] for event in progress} == {step.key for step in steps}
    assert all(event["unit"] == "tokens" and event["rate"] > 0 for event in progress)
    loaded = AutoModelForCausalLM.from_pretrained(model)
    lines = [json.loads(line) for line in (store.directory(steps[0]) / "perplexity.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [example.id for example in examples]
    for line, example in zip(lines, examples, strict=True):
        for part, (tokens, nll) in plain_sums(loaded, lab, example).items():
            assert line[part] == ({"tokens": tokens, "nll": pytest.approx(nll, rel=1e-5)} if tokens else None)
    summaries = [store.manifest(step) for step in steps]
    first, second, third = (manifest["summary"] for manifest in summaries if manifest)
    assert first["rows"] == 6 and "skipped" not in first
    assert second["skipped"] == 1 and "long" in second["skipped_rows"][0]
    assert {key: second[key] for key in first} == first
    assert third["all"]["token"] == pytest.approx(_part(lines[:2]), rel=0.02), "bfloat16 is near"


def _part(lines: list[dict[str, Any]]) -> float:
    return math.exp(sum(line["all"]["nll"] for line in lines) / sum(line["all"]["tokens"] for line in lines))


def test_a_row_that_cannot_be_measured_fails_the_step(tmp_path: Path) -> None:
    model, store = save_tiny(tmp_path / "model", "qwen3"), Store(tmp_path / "outputs")
    step = frozen(store, model, [Example("odd", [{"role": "user", "content": "how do i"}], None, " ")])
    assert work_on([store.freeze(step)], perplexity.work, silent(), together=True) == 2
    assert not store.status(step).complete
