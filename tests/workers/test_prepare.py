"""The prepare worker: the examples of a data set on disk, counted, and one that cannot be built."""

from __future__ import annotations

from pathlib import Path

from safetax.records import Example, read_records
from safetax.store.status import Store
from safetax.store.work_loop import work_on
from safetax.workers import prepare
from tests.support.tiny_steps import prompts, silent


def test_the_worker_writes_and_counts_the_examples(tmp_path: Path) -> None:
    store, step = Store(tmp_path), prompts(5)
    assert work_on([store.freeze(step)], prepare.work, silent()) == 0
    examples = read_records(store.directory(step) / "examples.jsonl", Example)
    manifest = store.manifest(step)
    assert manifest is not None and manifest["summary"]["examples"] == len(examples) == 5
    assert all(example.meta["harmful"] for example in examples)


def test_a_data_set_that_cannot_be_built_leaves_no_examples(tmp_path: Path) -> None:
    store, step = Store(tmp_path), prompts(100_000)
    assert work_on([store.freeze(step)], prepare.work, silent()) == 2
    assert not store.status(step).complete and not list(store.directory(step).glob("*.jsonl"))
