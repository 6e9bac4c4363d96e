"""How much a plan has to read and write: rows, tokens and prompts of its steps, from what is on disk or assumed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safetax.plan.requirements import needs_of_step
from safetax.store.status import Store
from safetax.store.step import Step

CHARACTERS = 3.5
"""Characters of a token, where only texts are known."""
TEMPLATE = 40
"""Tokens that a chat template adds to a row."""
ROWS, ROW_TOKENS = 1000, 900
"""Rows, and tokens of a row, that are assumed of a data set that is not there and does not say."""
PROMPTS = 500
"""Prompts that are assumed of a set that is not there and of unknown size."""


@dataclass(frozen=True)
class TokenCount:
    """Training data: how many rows, how long they are on average, and where that is known from."""

    count: int
    tokens: float
    source: str


def training_rows(train: Step, store: Store, done: Sequence[Mapping[str, Any]]) -> TokenCount:
    """Return the rows of a training: measured by a finished one on the same data, else read, else assumed.

    Args:
        train: the training.
        store: where finished data lie.
        done: manifests of finished steps.
    """
    data = train.inputs["data"]
    for manifest in done:
        summary = manifest["summary"]
        same = manifest["kind"] == "train" and manifest["inputs"]["data"]["step"] == data.key
        if same and summary.get("tokens_per_epoch") and summary.get("examples"):
            return TokenCount(summary["examples"], summary["tokens_per_epoch"] / summary["examples"], "measured")
    manifest = store.manifest(data)
    path = store.directory(data) / "examples.jsonl"
    if manifest is not None and path.is_file():
        lengths = [_characters(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        if lengths:
            return TokenCount(
                len(lengths), TEMPLATE + sum(lengths) / len(lengths) / CHARACTERS, "from the length of the texts"
            )
    needs = needs_of_step(data)
    return TokenCount(needs.rows or ROWS, needs.row_tokens or ROW_TOKENS, "assumed")


def read_rows(perplexity: Step, store: Store, done: Sequence[Mapping[str, Any]], size: int | None) -> TokenCount:
    """Return the rows that a step reads: traces that a model is still to write are as many, and as long, as can be.

    Args:
        perplexity: the step.
        store: where finished data lie.
        done: manifests of finished steps.
        size: of the benchmark whose traces they are, where that is known.
    """
    data = perplexity.inputs["data"]
    responses = data.inputs.get("responses")
    if "traces" not in perplexity.identity or responses is None or store.manifest(data) is not None:
        return training_rows(perplexity, store, done)
    sampling = responses.identity["sampling"]
    budget = sampling["answer_budget"] + sampling["thinking_budget"]
    return TokenCount(prompts_of(responses, store, size), TEMPLATE + budget, "every budget used up")


def _characters(line: str) -> int:
    row = json.loads(line)
    texts = [message["content"] for message in row["messages"]]
    return sum(len(text or "") for text in [*texts, row.get("thinking"), row.get("answer")])


def prompts_of(generate: Step, store: Store, size: int | None) -> int:
    """Return how many prompts a step answers, repeats not counted.

    Args:
        generate: the step.
        store: where finished prompt sets lie.
        size: of the benchmark that it belongs to, where that is known.
    """
    prompts = generate.inputs["prompts"]
    summary = (store.manifest(prompts) or {}).get("summary", {})
    return summary.get("examples") or needs_of_step(prompts).rows or size or PROMPTS
