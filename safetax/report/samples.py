"""The samples that the report's page lets its reader browse."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from safetax.records import Response, from_json
from safetax.results.collect import Collected
from safetax.results.document import Benchmark
from safetax.results.reader import RecordedRun, StepReader

LARGEST = 24_000_000
"""Bytes of JSON at most: a browser opens a page of this size without effort."""

Key = tuple[str, int]


def stratified_choice(labels: Mapping[Key, str], most: int, salt: str) -> list[Key]:
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


def collect_samples(collected: Collected, most: int = 40) -> dict[str, Any]:
    """Return the samples as plain JSON values: ``most`` at most of each checkpoint's responses to a benchmark.

    The result holds ``prompts`` (a list of lists of messages), ``samples`` (which name a checkpoint by its place in the
    results and a prompt by its place in ``prompts``), ``most`` and ``longest``, the bounds that were kept to. If all of
    it would be larger than ``LARGEST`` the bounds are halved until it is not.
    """
    longest = 12_000
    entries = zip(collected.runs, collected.results.runs, strict=True)
    owners = {identity: run for run, entry in entries for identity in entry.checkpoints}
    groups = [
        _choose(place, name, benchmark, collected.steps, owners[checkpoint.id], most)
        for place, checkpoint in enumerate(collected.results.checkpoints)
        for name, benchmark in checkpoint.benchmarks.items()
    ]
    while True:
        assembled = _assemble(groups, most, longest)
        if len(json.dumps(assembled, ensure_ascii=False).encode()) <= LARGEST or most <= 2:
            return assembled
        most, longest = most // 2, max(500, longest // 2)


def _choose(
    place: int, name: str, benchmark: Benchmark, steps: StepReader, run: RecordedRun, most: int
) -> list[dict[str, Any]]:
    """Return samples of one checkpoint's responses to one benchmark, with whole texts and messages."""
    responses = {(row["id"], row["repeat"]): row for row in steps.responses(benchmark.steps.generate, run)}
    verdicts: dict[Key, list[tuple[str, dict[str, Any]]]] = {key: [] for key in responses}
    for judge, fingerprint in benchmark.steps.scores.items():
        for row in steps.verdicts(fingerprint, run):
            verdicts[row["id"], row["repeat"]].append((judge, row))
    labels = {key: " / ".join(_label(verdict) for _, verdict in given) for key, given in verdicts.items()}
    messages = {row["id"]: row["messages"] for row in steps.examples(benchmark.steps.prompts, run)}
    samples = []
    for key in stratified_choice(labels, most, name):
        response = from_json(Response, responses[key])
        sample = {
            "checkpoint": place,
            "benchmark": name,
            "veiled": benchmark.measures == "harmful",
            "id": response.id,
            "repeat": response.repeat,
            "prompt": messages[response.id],
            "thinking": response.thinking,
            "answer": response.answer,
            "tokens": [response.thinking_tokens, response.answer_tokens],
            "ends": [response.end_of_thinking, response.end_of_answer],
            "verdicts": [{"judge": judge, "label": _label(given), **_says(given)} for judge, given in verdicts[key]],
        }
        samples.append(sample)
    return samples


def _label(verdict: Mapping[str, Any]) -> str:
    return verdict["label"] if verdict["error"] is None else "judge error"


def _says(verdict: Mapping[str, Any]) -> dict[str, Any]:
    return {key: verdict[key] for key in ("harmful", "refused", "correct", "error") if verdict[key] is not None}


def _assemble(groups: Sequence[Sequence[Mapping[str, Any]]], most: int, longest: int) -> dict[str, Any]:
    prompts: dict[str, int] = {}
    samples = []
    for group in groups:
        for sample in sorted(group[:most], key=lambda sample: (sample["id"], sample["repeat"])):
            messages = [{**message, "content": shorten(message["content"], longest)} for message in sample["prompt"]]
            number = prompts.setdefault(json.dumps(messages, sort_keys=True), len(prompts))
            texts = {part: shorten(sample[part], longest) for part in ("thinking", "answer")}
            samples.append({**sample, "prompt": number, **texts})
    found = [json.loads(prompt) for prompt in prompts]
    return {"prompts": found, "samples": samples, "most": most, "longest": longest}
