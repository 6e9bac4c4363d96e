"""The samples that the report's page lets its reader browse."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from safetax.records import Message, Response, Verdict, from_json
from safetax.results.reader import Run, Steps

LARGEST = 24_000_000
"""Bytes of JSON at most: a browser opens a page of this size without effort."""

Key = tuple[str, int]


def spread(labels: Mapping[Key, str], most: int, salt: str) -> list[Key]:
    """Choose at most ``most`` keys, in turn from each label, so that the rare labels are all there.

    Within a label the order is a hash of ``salt`` and the key: the same prompts come first for every checkpoint, and
    a smaller choice is always the beginning of a larger one.
    """

    def order(key: Key) -> bytes:
        return hashlib.sha256(f"{salt}\n{key[0]}\n{key[1]}".encode()).digest()

    queues: dict[str, list[Key]] = {}
    for key in sorted(labels, key=order):
        queues.setdefault(labels[key], []).append(key)
    ranked = [
        (rank, label, key) for label, keys in queues.items() for rank, key in enumerate(keys)
    ]  # rank first: the round in which the label's turn takes the key
    return [key for _, _, key in sorted(ranked, key=lambda item: item[:2])[:most]]


def shorten(text: str | None, most: int) -> str | None:
    """Return the text, with its middle left out and the number of characters said if it is longer than ``most``."""
    if text is None or len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n\n[… {len(text) - 2 * half:,} characters left out on this page …]\n\n{text[-half:]}"


def collect(results: Mapping[str, Any], owners: Mapping[str, Run], steps: Steps, most: int = 40) -> dict[str, Any]:
    """Return the samples as plain JSON values: ``most`` at most of each checkpoint's responses to a benchmark.

    ``owners`` gives for each checkpoint's id a run that has it. The result holds ``prompts`` (a list of lists of
    messages), ``samples`` (which name a checkpoint by its place in ``results`` and a prompt by its place in
    ``prompts``), ``most`` and ``longest``, the bounds that were kept to. If all of it would be larger than
    ``LARGEST`` the bounds are halved until it is not.
    """

    @cache
    def messages(step: str, owner: str) -> dict[str, list[Message]]:
        return {row["id"]: row["messages"] for row in steps.examples(step, owners[owner])}

    longest = 12_000
    groups = []
    for place, checkpoint in enumerate(results["checkpoints"]):
        for name, benchmark in checkpoint["benchmarks"].items():
            fixed = {"checkpoint": place, "benchmark": name, "veiled": benchmark["measures"] == "harmful"}
            prompts = messages(benchmark["steps"]["prompts"], checkpoint["id"])
            chosen = _choose(benchmark["steps"], steps, owners[checkpoint["id"]], most, name)
            groups.append([{**fixed, "messages": prompts[sample["response"].id], **sample} for sample in chosen])
    while True:
        collected = _assemble(groups, most, longest)
        if len(json.dumps(collected, ensure_ascii=False).encode()) <= LARGEST or most <= 2:
            return collected
        most, longest = most // 2, max(500, longest // 2)


def _choose(named: Mapping[str, Any], steps: Steps, run: Run, most: int, salt: str) -> list[dict[str, Any]]:
    responses = [from_json(Response, row) for row in steps.responses(named["generate"], run)]
    by_key = {(response.id, response.repeat): response for response in responses}
    verdicts: dict[Key, list[tuple[str, Verdict]]] = {key: [] for key in by_key}
    for judge, fingerprint in named["scores"].items():
        for row in steps.verdicts(fingerprint, run):
            verdicts[row["id"], row["repeat"]].append((judge, Verdict(**row)))
    labels = {key: " / ".join(_label(verdict) for _, verdict in given) for key, given in verdicts.items()}
    return [
        {
            "response": by_key[key],
            "verdicts": [{"judge": judge, "label": _label(given), **_says(given)} for judge, given in verdicts[key]],
        }
        for key in spread(labels, most, salt)
    ]


def _label(verdict: Verdict) -> str:
    return "judge error" if verdict.error is not None else verdict.label


def _says(verdict: Verdict) -> dict[str, Any]:
    said = {"harmful": verdict.harmful, "refused": verdict.refused, "correct": verdict.correct, "error": verdict.error}
    return {key: value for key, value in said.items() if value is not None}


def _assemble(groups: Sequence[Sequence[Mapping[str, Any]]], most: int, longest: int) -> dict[str, Any]:
    prompts: dict[str, int] = {}
    samples = []
    for group in groups:
        for sample in sorted(group[:most], key=lambda item: (item["response"].id, item["response"].repeat)):
            messages = [{**message, "content": shorten(message["content"], longest)} for message in sample["messages"]]
            prompt = prompts.setdefault(json.dumps(messages, sort_keys=True), len(prompts))
            response: Response = sample["response"]
            samples.append(
                {
                    "checkpoint": sample["checkpoint"],
                    "benchmark": sample["benchmark"],
                    "veiled": sample["veiled"],
                    "id": response.id,
                    "repeat": response.repeat,
                    "prompt": prompt,
                    "thinking": shorten(response.thinking, longest),
                    "answer": shorten(response.answer, longest),
                    "tokens": [response.thinking_tokens, response.answer_tokens],
                    "ends": [response.end_of_thinking, response.end_of_answer],
                    "verdicts": sample["verdicts"],
                }
            )
    return {
        "prompts": [json.loads(prompt) for prompt in prompts],
        "samples": samples,
        "most": most,
        "longest": longest,
    }
