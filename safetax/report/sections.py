"""What the page's later sections show: checks on the safety score, judges, evaluations, engines, costs and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from safetax.config.flat import leaves
from safetax.results.alignment_data import DataSet, perplexity_texts
from safetax.results.document import Checkpoint, CountedEstimate, Results, Score
from safetax.results.metrics import (
    ACCURACY,
    HARMFUL_OR_REPEATED,
    HARMFUL_SCORE,
    OVER_REFUSAL,
    STRONGREJECT,
    THINKING,
)

Manifests = Mapping[str, Mapping[str, Any]]

ENGINE_FACTS = {
    "version": "engine versions",
    "tensor_parallel": "tensor-parallel widths",
    "dtype": "number formats",
    "device": "devices",
}
"""What of an engine can move greedy responses by itself -> how a warning calls it."""


@dataclass(frozen=True)
class SafetyCheck:
    """A checkpoint's harmful score beside what else was counted of its answers, where that is known."""

    checkpoint: Checkpoint
    raw: Score | None
    unique: CountedEstimate | None
    repeated: Score | None
    strongreject: Score | None
    thinking: Score | None


@dataclass(frozen=True)
class JudgeTable:
    """Scores of a benchmark by judge, the headline's first; rows are checkpoints and what each judge gave."""

    benchmark: str
    metric: str
    judges: list[str]
    rows: list[tuple[Checkpoint, Mapping[str, Score | None]]]


@dataclass(frozen=True)
class EvaluationRow:
    """A metric of the same weights under two evaluations."""

    label: str
    metric: str
    names: tuple[str, str]
    scores: tuple[Score, Score]
    difference: Score


@dataclass(frozen=True)
class DataRow:
    """A data set: rows, other counts and perplexities."""

    title: str
    step: str
    rows: int | None
    counts: list[tuple[str, Any]]
    perplexities: list[str]


def safety_checks(results: Results) -> list[SafetyCheck]:
    """Return for each checkpoint the harmful score beside what else was counted; nothing where nothing differs."""
    rows = []
    for checkpoint in results.checkpoints:
        scores = checkpoint.scores
        raw = scores.get(HARMFUL_SCORE)
        if raw or THINKING in scores:
            others = [scores.get(metric) for metric in (HARMFUL_OR_REPEATED, STRONGREJECT, THINKING)]
            rows.append(SafetyCheck(checkpoint, raw, raw.unique if raw else None, *others))
    told = any(row.unique or row.strongreject or row.thinking for row in rows)
    broken = any(row.raw and row.repeated and row.repeated.value != row.raw.value for row in rows)
    return rows if told or broken else []


def judge_tables(results: Results) -> list[JudgeTable]:
    """Return for each benchmark with several judges of answers a table of their scores."""
    tables: dict[tuple[str, str], JudgeTable] = {}
    for checkpoint in results.checkpoints:
        for name, benchmark in checkpoint.benchmarks.items():
            judges = {judge: given for judge, given in benchmark.judges.items() if given.part != "thinking"}
            metric = {"harmful": HARMFUL_SCORE, "benign": OVER_REFUSAL}.get(benchmark.measures, ACCURACY)
            if sum(metric in given.scores for given in judges.values()) > 1:
                table = tables.setdefault((name, metric), JudgeTable(name, metric, [], []))
                table.judges.extend(judge for judge in judges if judge not in table.judges)
                table.rows.append((checkpoint, {judge: given.scores.get(metric) for judge, given in judges.items()}))
    return list(tables.values())


def evaluation_rows(results: Results) -> list[EvaluationRow]:
    """Return the differences between evaluations with the scores that they are between."""
    rows = []
    for pair in results.evaluations:
        first, second = results.by_id[pair.first.id], results.by_id[pair.second.id]
        label, names = replace(first, variant="").long_name, (pair.first.name, pair.second.name)
        for metric, change in pair.differences.items():
            scores = first.scores[metric], second.scores[metric]
            rows.append(EvaluationRow(label, metric, names, scores, change))
    return rows


def compared_evaluations(results: Results) -> tuple[str, str]:
    """Return the names of the two evaluations that are compared, or what to call them where there are more."""
    names = {(pair.first.name, pair.second.name) for pair in results.evaluations}
    return names.pop() if len(names) == 1 else ("One evaluation", "The other")


def engine_warnings(results: Results, manifests: Manifests) -> list[str]:
    """Return a sentence for each fact about the engine in which checkpoints of one model differ."""
    warnings = []
    for model in results.models:
        for fact, called in ENGINE_FACTS.items():
            holders: dict[str, list[str]] = {}
            for checkpoint in results.checkpoints:
                if checkpoint.model == model:
                    for value in _facts(checkpoint, manifests, fact):
                        holders.setdefault(value, []).append(replace(checkpoint, variant="").name)
            if len(holders) > 1:
                values = sorted(holders, key=lambda value: (len(value), value))
                who = "; ".join(f"{value}: {', '.join(dict.fromkeys(holders[value]))}" for value in values)
                warnings.append(f"{model} is compared across {called} {_listed(values)} ({who}).")
    return warnings


def _facts(checkpoint: Checkpoint, manifests: Manifests, fact: str) -> list[str]:
    """Return the values that a fact had over the checkpoint's generations, each once."""
    found = []
    for benchmark in checkpoint.benchmarks.values():
        manifest = manifests.get(f"generate/{benchmark.steps.generate}", {})
        value = manifest.get("summary", {}).get("engine_facts", {}).get(fact)
        found += [] if value is None else [str(value)]
    return list(dict.fromkeys(found))


def _listed(values: Sequence[str]) -> str:
    return f"{', '.join(values[:-1])} and {values[-1]}"


def data_rows(results: Results) -> list[DataRow]:
    """Return the data sets; nothing where runs say no more than how many rows they have."""
    listed = [_data_row(entry) for entry in results.data]
    told = not results.checkpoints or any(row.counts or row.perplexities for row in listed)
    return listed if told else []


def _data_row(entry: DataSet) -> DataRow:
    counts = [
        (key.replace(".", ": "), "; ".join(map(str, value)) if isinstance(value, list) else value)
        for key, value in leaves(entry.summary)
        if key != "examples" and value not in ({}, [])
    ]
    title = entry.title.removeprefix("data ")
    return DataRow(title, entry.step, entry.summary.get("examples"), counts, perplexity_texts(entry))
