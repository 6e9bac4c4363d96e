"""What of a row carries loss."""

from __future__ import annotations

from pathlib import Path

from safetax.records import Example, read_records
from safetax.store.manifest import read_json
from tests.support.tiny_trainings import (
    aligned_step,
)


def test_loss_is_on_the_assistant_alone(quick_lab: Path) -> None:
    from safetax.config.identity import restore_node
    from safetax.config.schema import Format
    from safetax.data.chat import ChatRenderer
    from safetax.models.checkpoint import load_tokenizer
    from safetax.training.batches import IGNORED, Collator

    frozen = read_json(aligned_step(quick_lab) / "step.json")
    assert frozen is not None
    root = quick_lab
    inputs = {name: root / key for name, key in frozen["inputs"].items()}
    tokenizer = load_tokenizer(frozen["identity"], inputs)
    renderer = ChatRenderer(tokenizer, restore_node(Format, frozen["identity"]["format"]))
    examples = read_records(inputs["data"] / "examples.jsonl", Example)[:4]
    batch = Collator(tokenizer.pad_token_id)([renderer.row(example) for example in examples])
    for index, example in enumerate(examples):
        kept = batch["labels"][index] != IGNORED
        told = tokenizer.decode(batch["input_ids"][index][kept]).replace(" ", "")
        written = f"<think>{example.thinking}</think>{example.answer}<|im_end|>"
        assert told == written.lower().replace(" ", "")
        asked = tokenizer.decode(batch["input_ids"][index][~kept])
        assert example.messages[-1]["content"].split()[0].lower() in asked
        assert batch["attention_mask"][index].sum() >= kept.sum()
