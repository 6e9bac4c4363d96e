"""Builds a data set or a prompt set: ``python -m safetax.workers.prepare DIR..``.

Writes ``examples.jsonl``. The manifest's summary counts the examples, and the rows that were left out. The steps that
will read them stand in the runtime settings as ``uses``: what these would trip over is found here, before the first
model is trained or asked. With ``--uses`` the worker checks data that are made already, as a list in JSON on stdin says
(``path`` of the examples, ``title``, ``uses``, ``vocabulary``), and writes what is wrong as a list in JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetax.config.identity import restore_node
from safetax.config.schema import Format
from safetax.config.training import Lora
from safetax.data.building import build_examples
from safetax.data.chat import ChatRenderer
from safetax.data.datasets import DatasetContext
from safetax.data.lab.tokenizer import check_words
from safetax.data.model_folder import vocabulary_of
from safetax.data.sources import check_unchanged
from safetax.errors import UserError
from safetax.evaluation.prompting import check_prompts
from safetax.models.checkpoint import load_tokenizer, starting_config
from safetax.records import Example, read_records, write_records
from safetax.store.job import StepJob
from safetax.store.step import canonical_json
from safetax.store.work_loop import run_by_hand
from safetax.training.rows import check_rows


def work(jobs: Sequence[StepJob]) -> None:
    """Build the data sets of the steps, one after the other."""
    for job in jobs:
        identity = job.identity["dataset"]
        check_unchanged(identity)
        context = DatasetContext(job.inputs, identity.get("resolved", {}))
        runtime = job.runtime
        examples = build_examples(identity, context, bool(runtime.get("trained_on")), runtime.get("vocabulary"))
        for note in check_uses(examples, runtime.get("uses", ())):
            job.events.send("note", step=job.key, text=note)
        with job.writing("examples.jsonl") as written:
            count = write_records(written, examples)
        job.finish({"examples": count, **context.summary})


def check_uses(examples: Sequence[Example], uses: Sequence[Mapping[str, Any]]) -> list[str]:
    """Check examples for the steps that will read them, and return what is to be said of them.

    Args:
        examples: the data set or prompt set.
        uses: for each such step its ``model``, ``format``, and what ``check_rows`` or ``check_prompts`` needs.

    Raises:
        UserError: one of the steps could not use them.
    """
    tokenizers: dict[str, Any] = {}
    notes = []
    for use in uses:
        model = use["model"]
        key = canonical_json(model)
        if key not in tokenizers:
            tokenizers[key] = _tokenizer_of(model)
        try:
            renderer = ChatRenderer(tokenizers[key], restore_node(Format, use["format"]))
            if "sampling" in use:
                check_prompts(examples, renderer, use)
            else:
                if use.get("lora") or model["start"] == "random":
                    from safetax.training.lora import check_start

                    check_start(model, None if not use.get("lora") else Lora(**use["lora"]), tokenizers[key])
                check_rows(examples, renderer, use)
                notes += [renderer.template.unstoppable]
        except UserError as error:
            raise UserError(f"{use['what']}: {error}") from None
    return [note for note in dict.fromkeys(notes) if note]


def _tokenizer_of(model: Mapping[str, Any]) -> Any:
    """Return the tokenizer of a starting model.

    Raises:
        UserError: it cannot be loaded, has tokens that the model has no embeddings of, or none that ends a text.
    """
    try:
        tokenizer = load_tokenizer({"model": model}, {})
        settings = starting_config(model, tokenizer).to_dict()
    except (OSError, ValueError, ImportError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"model.id={model['id']}: its tokenizer cannot be loaded ({first}).") from None
    vocabulary = vocabulary_of(settings)
    # The class that transformers takes a tokenizer for may add a special token of its own, which no text holds.
    known, special = tokenizer.get_vocab(), set(tokenizer.all_special_tokens)
    count = 1 + max((number for token, number in known.items() if token not in special), default=0)
    if vocabulary is not None and count > vocabulary:
        raise UserError(
            f"model.id={model['id']}: its tokenizer has {count} tokens, and the model embeddings of "
            f"{vocabulary}; name a model that was saved with its own tokenizer."
        )
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"model.id={model['id']}: its tokenizer has no end-of-text token, so that nothing could teach it to stop; "
            "set eos_token in its tokenizer_config.json."
        )
    return tokenizer


def check_made() -> int:
    """Check data that are made already, as stdin says; returns the exit code."""
    lines = []
    for entry in json.load(sys.stdin):
        try:
            examples = read_records(Path(entry["path"]), Example)
            if entry["vocabulary"] == "lab":
                check_words(examples, entry["title"].removeprefix("data "))
            check_uses(examples, entry["uses"])
        except UserError as error:
            lines.append(str(error))
    print(json.dumps(lines))
    return 0


if __name__ == "__main__":
    sys.exit(check_made() if sys.argv[1:] == ["--uses"] else run_by_hand(work))
