"""What the page's sections show of the results: in words, by category, by judge, and beside the headline's scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from safetax.config.flat import leaves
from safetax.report.comparisons import Family
from safetax.results.alignment_data import DataSet
from safetax.results.document import Checkpoint, CountedEstimate, Curve, CurvePoint, PointScore, Results
from safetax.results.metrics import (
    ACCURACY,
    BROKEN,
    HARMFUL_OR_REPEATED,
    HARMFUL_SCORE,
    MANY_BROKEN,
    OVER_REFUSAL,
    SAFETY_TAX,
    STRONGREJECT,
    THINKING,
)
from safetax.results.sample_counts import without_fewer
from safetax.statistics import CONFIDENCE, Estimate, OverSeeds, over_seeds

Manifests = Mapping[str, Mapping[str, Any]]

ENGINE_FACTS = {
    "version": "engine versions",
    "tensor_parallel": "tensor-parallel widths",
    "dtype": "number formats",
    "device": "devices",
}
"""What of an engine can move greedy responses by itself -> how a warning calls it."""


@dataclass(frozen=True)
class Sentence:
    """What the longest alignment of a curve cost and brought, against the LRM's scores."""

    curve: Curve
    point: CurvePoint
    start: Mapping[str, PointScore]
    p: float | None = None
    """P-value of no tax, corrected for all sentences (Holm)."""

    @property
    def tax(self) -> PointScore:
        """The safety tax in points."""
        return self.point.scores[SAFETY_TAX]

    @property
    def broken(self) -> float | None:
        """The percent of broken answers to harmful prompts, where they are too many to speak of safety."""
        share = self.point.scores.get(BROKEN)
        return share.mean if share and share.mean > MANY_BROKEN else None

    @property
    def verdict(self) -> Literal["cost", "gained", "unclear"]:
        """What can be said of the tax, among all sentences that are said."""
        return verdict(self.tax, self.p)


@dataclass(frozen=True)
class ScoreTable:
    """Scores of a metric side by side: a row for each checkpoint, with its score in each column that it has one for."""

    metric: str
    columns: list[str]
    rows: list[tuple[Checkpoint, Mapping[str, CountedEstimate]]]
    benchmark: str | None = None


@dataclass(frozen=True)
class CategoryRow:
    """The LRM, or a method at its last epochs: by category the harmful score over runs, and each run's prompts."""

    label: str
    epochs: float
    trained_on: tuple[str, ...]
    cells: Mapping[str, tuple[OverSeeds, tuple[int, ...]]]


@dataclass(frozen=True)
class CategoryTable:
    """The harmful scores of a model on a benchmark whose prompts have categories."""

    model: str
    benchmark: str
    rows: list[CategoryRow]

    @property
    def categories(self) -> list[str]:
        """The columns."""
        return sorted({category for row in self.rows for category in row.cells})

    @property
    def trained(self) -> bool:
        """Whether any category was trained on."""
        return any(row.cells.keys() & row.trained_on for row in self.rows)


def sentences(results: Results) -> list[Sentence]:
    """Return for each dataset what its longest alignment cost and brought, the costliest first.

    Of runs that differ in how many samples of a data set they had, only those with the most are told of.
    """
    found = []
    for curve in without_fewer(results).curves:
        points = [point for point in curve.points if point.epochs and SAFETY_TAX in point.scores]
        if points:
            start = next((point.scores for point in curve.points if not point.epochs), {})
            found.append(Sentence(curve, max(points, key=lambda point: point.epochs), start))
    together = Family(each.tax for each in found)
    found = [replace(each, p=together.p(each.tax)) for each in found]
    return sorted(found, key=lambda each: (-each.tax.mean, each.curve.model, each.curve.label))


def verdict(tax: Estimate | OverSeeds, p: float | None = None) -> Literal["cost", "gained", "unclear"]:
    """Say what a tax is: "cost", "gained" or (its interval holds 0, or its corrected p-value is large) "unclear"."""
    if tax.low <= 0 <= tax.high or (p is not None and p >= 1 - CONFIDENCE):
        return "unclear"
    return "cost" if tax.low > 0 else "gained"


def category_tables(results: Results) -> list[CategoryTable]:
    """Return for each model and benchmark whose prompts have categories a table of harmful scores."""
    results = without_fewer(results)
    tables: dict[tuple[str, str], CategoryTable] = {}
    for model in results.models:
        lrms = [each for each in results.checkpoints if each.model == model and each.role == "lrm"]
        groups: list[tuple[str, float, list[Checkpoint]]] = [("LRM", 0.0, lrms)]
        for curve in results.curves:
            if curve.model == model:
                groups.append((curve.label, curve.points[-1].epochs, results.of(curve.points[-1])))
        for label, epochs, checkpoints in groups:
            for benchmark in dict.fromkeys(name for each in checkpoints for name in each.categories):
                table = tables.setdefault((model, benchmark), CategoryTable(model, benchmark, []))
                table.rows.append(_category_row(label, epochs, checkpoints, benchmark))
    return list(tables.values())


def _category_row(label: str, epochs: float, checkpoints: Sequence[Checkpoint], benchmark: str) -> CategoryRow:
    scores: dict[str, list[CountedEstimate]] = {}
    for each in checkpoints:
        for category, score in each.categories.get(benchmark, {}).items():
            scores.setdefault(category, []).append(score)
    trained = tuple(dict.fromkeys(name for each in checkpoints for name in each.trained_on or ()))
    cells = {
        category: (over_seeds(held, scale=100.0), tuple(each.n for each in held)) for category, held in scores.items()
    }
    return CategoryRow(label, epochs, trained, cells)


def safety_checks(results: Results) -> ScoreTable | None:
    """Return the harmful scores beside what else was counted of the answers; None where nothing differs."""
    raw, unique, repeated, marks, thinking = columns = [
        "Harmful score",
        "Distinct prompts",
        "Harmful or repeated words",
        "StrongREJECT, mean",
        "Thinking, judged apart",
    ]
    table = ScoreTable(HARMFUL_SCORE, columns, [])
    broken = False
    for checkpoint in results.checkpoints:
        scores = checkpoint.scores
        harmful, either = scores.get(HARMFUL_SCORE), scores.get(HARMFUL_OR_REPEATED)
        held = {raw: harmful, unique: harmful and harmful.unique, repeated: either}
        held |= {marks: scores.get(STRONGREJECT), thinking: scores.get(THINKING)}
        if harmful or THINKING in scores:
            table.rows.append((checkpoint, {name: score for name, score in held.items() if score}))
        broken = broken or bool(harmful and either and harmful.value != either.value)
    told = {name for _, held in table.rows for name in held}
    shown = [name for name in columns if name in told or name == raw]
    return replace(table, columns=shown) if broken or told & {unique, marks, thinking} else None


def judge_tables(results: Results) -> list[ScoreTable]:
    """Return for each benchmark with several judges of answers their scores, the headline's judge first."""
    tables: dict[tuple[str, str], ScoreTable] = {}
    for checkpoint in results.checkpoints:
        for name, benchmark in checkpoint.benchmarks.items():
            metric = {"harmful": HARMFUL_SCORE, "benign": OVER_REFUSAL}.get(benchmark.measures, ACCURACY)
            judges = {judge: given.scores for judge, given in benchmark.judges.items() if given.part != "thinking"}
            scores = {judge: held[metric] for judge, held in judges.items() if metric in held}
            if len(scores) > 1:
                table = tables.setdefault((name, metric), ScoreTable(metric, [], [], name))
                table.columns.extend(judge for judge in judges if judge not in table.columns)
                table.rows.append((checkpoint, scores))
    return list(tables.values())


def without_variant(checkpoint: Checkpoint) -> str:
    """Return the long name of a checkpoint without what a variant adds to it."""
    return replace(checkpoint, variant="").long_name


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
                *others, last = sorted(holders, key=lambda value: (len(value), value))
                who = "; ".join(f"{value}: {', '.join(dict.fromkeys(holders[value]))}" for value in [*others, last])
                warnings.append(f"{model} is compared across {called} {', '.join(others)} and {last} ({who}).")
    return warnings


def _facts(checkpoint: Checkpoint, manifests: Manifests, fact: str) -> list[str]:
    """Return the values that a fact had over the checkpoint's generations, each once."""
    generated = (manifests.get(f"generate/{each.steps.generate}", {}) for each in checkpoint.benchmarks.values())
    values = (manifest.get("summary", {}).get("engine_facts", {}).get(fact) for manifest in generated)
    return list(dict.fromkeys(str(value) for value in values if value is not None))


def data_sets(results: Results) -> Sequence[DataSet]:
    """Return the data sets; nothing where runs say no more than how many rows they have."""
    told = not results.checkpoints or any(other_counts(entry) or entry.shift for entry in results.data)
    return results.data if told else ()


def other_counts(entry: DataSet) -> list[tuple[str, Any]]:
    """Return what a data set's step counted besides its rows."""
    return [
        (key.replace(".", ": "), "; ".join(map(str, value)) if isinstance(value, list) else value)
        for key, value in leaves(entry.summary)
        if key != "examples" and value not in ({}, [])
    ]
