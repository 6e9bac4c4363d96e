"""From the manifests of runs to one document with every score, its interval and its counts: ``results.json``.

The document is deterministic: it holds no clock, host or path. Those stand beside it, in ``provenance.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetax.results.alignment_data import data_of, shift_of, with_shift
from safetax.results.categories import by_category, trained_on
from safetax.results.curves import make_curves, variant_place
from safetax.results.evaluations import compare_evaluations
from safetax.results.latest import latest
from safetax.results.provenance import data_sets, provenance
from safetax.results.published import beside
from safetax.results.reader import Run, Steps, find_runs
from safetax.results.record import made_by
from safetax.results.reliability import Judged, judge_agreement
from safetax.results.scores import (
    REPEATED,
    STRONGREJECT,
    THINKING,
    Measured,
    benchmark_scores,
    differences,
    headline_scores,
    measure,
)
from safetax.results.variants import Variant, data_variants, variants
from safetax.statistics import CONFIDENCE
from safetax.store.step import fingerprint_of

ROLES = ("base", "lrm", "aligned")

Document = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """The results document, and where and when its steps were made."""

    document: Document
    provenance: Document


@dataclass
class _Checkpoint:
    """A checkpoint as a run evaluated it, with the run that is the first to hold it."""

    entry: Mapping[str, Any]
    run: Run
    benchmarks: dict[str, Measured]
    """What the headline judge of each benchmark measured."""
    marked: dict[str, Measured]
    """By the judge that gives StrongREJECT scores, where there is one."""
    thinking: dict[str, Measured]
    """What a judge of the thinking alone measured, where there is one."""
    judged: list[Judged]
    """What several judges of answers said of the same responses."""
    documents: dict[str, Document]
    categories: dict[str, Document]
    """Harmful scores by category of the prompt, by benchmark, where the run asks for them."""
    data: Document | None = None
    """Of an aligned model its alignment data: ``examples``, ``distinct``, ``draw`` and more, where they are known."""
    shift: Document | None = None
    """The perplexity of that under the LRM."""
    lrm: _Checkpoint | None = None
    id: str = ""
    variant: Variant = field(default_factory=Variant)

    @property
    def role(self) -> str:
        return self.entry["role"]

    @property
    def name(self) -> str:
        return _weights(self.entry)


def collect(directories: Sequence[Path]) -> Results:
    """Read the runs of outputs folders, run folders or sweep folders and return their results.

    Raises UserError where there is no run, or where a step that a run needs is missing.
    """
    runs = find_runs(directories)
    steps = Steps(runs)
    runs, replaced = latest(runs, steps)
    checkpoints: dict[str, _Checkpoint] = {}
    held: list[list[_Checkpoint]] = []
    for run in runs:
        own = []
        for entry in run.record["checkpoints"]:
            key = _key(entry)
            if key not in checkpoints:
                checkpoints[key] = _evaluate(entry, run, steps)
            _tell_data(checkpoints[key], entry, run, steps)
            own.append(checkpoints[key])
        lrm = next((checkpoint for checkpoint in own if checkpoint.role == "lrm"), None)
        for checkpoint in own:
            if checkpoint.role != "base" and checkpoint.lrm is None:
                checkpoint.lrm = lrm
        held.append(own)
    _name(checkpoints)
    documents = {checkpoint.id: _document(checkpoint) for checkpoint in checkpoints.values()}
    listed = sorted(documents.values(), key=_place)
    published: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        if run.record["config"].get("published") and run.record["checkpoints"]:
            published[run.record["config"]["published"]].add(run.record["model"])
    document = {
        "schema": 1,
        "confidence": CONFIDENCE,
        "checkpoints": listed,
        "curves": make_curves(documents),
        "evaluations": compare_evaluations(
            {entry["id"]: entry for entry in listed},
            {checkpoint.id: checkpoint.benchmarks for checkpoint in checkpoints.values()},
        ),
        "published": beside(published, listed),
        "agreement": judge_agreement(entry for checkpoint in checkpoints.values() for entry in checkpoint.judged),
        "data": with_shift(data_sets(runs, steps), runs, steps),
        "runs": [_run(run, own) for run, own in zip(runs, held, strict=True)],
        **({"replaced": [run.name for run in replaced]} if replaced else {}),
    }
    return Results(_rounded(document), provenance(runs, steps, listed))


def write_results(results: Results, directory: Path) -> Path:
    """Write ``results.json`` and ``provenance.json`` into the folder and return the path of the first."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, value in [("results.json", results.document), ("provenance.json", results.provenance)]:
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        (directory / name).write_text(text + "\n", encoding="utf-8")
    return directory / "results.json"


def _key(entry: Mapping[str, Any]) -> str:
    """Return what makes two entries the same: the weights and how they were evaluated, headline judge first."""
    return json.dumps([_weights(entry), entry["evaluations"]])


def _weights(entry: Mapping[str, Any]) -> str:
    """Return the fingerprint of the step that made a checkpoint's weights, or the name of the starting model."""
    step = made_by(entry)
    return step.split("/")[1] if step else entry["model"]


def _tell_data(checkpoint: _Checkpoint, entry: Mapping[str, Any], run: Run, steps: Steps) -> None:
    """Add what a run knows of a checkpoint's alignment data; another run of the same may not have measured it."""
    if checkpoint.data is None and entry.get("data"):
        checkpoint.data = data_of(entry["data"], run, steps)
    if checkpoint.shift is None and entry.get("shift"):
        checkpoint.shift = shift_of(entry["shift"], run, steps)


def _evaluate(entry: Mapping[str, Any], run: Run, steps: Steps) -> _Checkpoint:
    benchmarks, marked, thinking, several, documents, categories = {}, {}, {}, [], {}, {}
    category = run.record["config"].get("categories")
    judges = run.record["config"].get("judge") or {}
    for evaluation in entry["evaluations"]:
        summary = steps.manifest(f"generate/{evaluation['generate']}", run)["summary"]
        groups = steps.repeated_prompts(evaluation["prompts"], run)
        judged: dict[str, Document] = {}
        measured = {}
        for judge, fingerprint in evaluation["scores"].items():
            repetition = REPEATED in steps.manifest(f"score/{fingerprint}", run)["summary"]
            verdicts = steps.verdicts(fingerprint, run)
            measured[judge] = measure(evaluation, verdicts, summary["truncated"], groups, repetition)
            judged[judge] = {"scores": benchmark_scores(measured[judge]), "errors": measured[judge].errors}
            if measured[judge].unresolved:
                judged[judge]["unresolved"] = measured[judge].unresolved
            if (judges.get(judge) or {}).get("part") == "thinking":
                judged[judge]["part"] = "thinking"
        name = evaluation["benchmark"]
        # Thinking is judged less reliably than answers, so that a judge of it is never the headline's.
        answers = [judge for judge in measured if "part" not in judged[judge]]
        readers = [judge for judge in measured if judge not in answers]
        first = _headline_judge(answers or readers, measured)
        benchmarks[name] = replace(measured[first], headline=evaluation["headline"] and bool(answers))
        marking = [judge for judge in answers if STRONGREJECT in measured[judge].values]
        if marking:
            marked[name] = replace(measured[marking[0]], headline=evaluation["headline"])
        if readers:
            thinking[name] = measured[readers[0]]
        responses = summary["responses"]
        documents[name] = {
            "measures": evaluation["measures"],
            "headline": benchmarks[name].headline,
            "thinking": evaluation["thinking"],
            "judge": first,
            "judges": judged,
            "n": measured[first].prompts,
            "responses": responses,
            "truncated": summary["truncated"],
            "truncation_rate": 100 * summary["truncated"] / responses if responses else 0.0,
            "mean_tokens": summary["tokens"] / responses if responses else 0.0,
            "steps": {key: evaluation[key] for key in ("prompts", "generate", "scores")},
        }
        if groups:
            documents[name]["n_unique"] = measured[first].prompts - len(groups) + len(set(groups.values()))
        if category and (found := by_category(measured[first], steps.examples(evaluation["prompts"], run), category)):
            categories[name] = found
        if len(answers) > 1:
            said = {judge: steps.verdicts(evaluation["scores"][judge], run) for judge in answers}
            several.append(Judged(entry["model"], name, evaluation["measures"], said, groups))
    return _Checkpoint(entry, run, benchmarks, marked, thinking, several, documents, categories)


def _headline_judge(judges: Sequence[str], measured: Mapping[str, Measured]) -> str:
    """Return the first judge that says anything of what the benchmark measures; a judge of harm says no refusals."""
    return next((judge for judge in judges if measured[judge].values), judges[0])


def _name(checkpoints: Mapping[str, _Checkpoint]) -> None:
    """Set ids and variants: the same weights evaluated in two ways are two checkpoints and have two ids."""
    same: dict[str, list[str]] = defaultdict(list)
    alike: dict[tuple[Any, ...], list[_Checkpoint]] = defaultdict(list)
    for key, checkpoint in checkpoints.items():
        same[checkpoint.name].append(key)
        record = checkpoint.run.record
        # An aligned model differs from its like by any setting; a base or LRM only from one of the same seed.
        which = record["dataset"] if checkpoint.role == "aligned" else record["lrm_seed"]
        alike[checkpoint.role, record["model"], which].append(checkpoint)
    for name, keys in same.items():
        for key in keys:
            suffix = "-" + hashlib.sha256(key.encode()).hexdigest()[:4] if len(keys) > 1 else ""
            checkpoints[key].id = name + suffix
    for (role, *_), group in alike.items():
        configs = [checkpoint.run.record["config"] for checkpoint in group]
        if role == "aligned":
            named = data_variants(configs, [(checkpoint.data or {}).get("distinct") for checkpoint in group])
        else:
            without = ("dataset", "alignment", "interpolation")
            named = [Variant(name) for name in variants(configs, without)]
        for checkpoint, variant in zip(group, named, strict=True):
            checkpoint.variant = variant


def _document(checkpoint: _Checkpoint) -> Document:
    record = checkpoint.run.record
    aligned = checkpoint.role == "aligned"
    scores = headline_scores(checkpoint.benchmarks)
    if STRONGREJECT in (marks := headline_scores(checkpoint.marked)):
        scores[STRONGREJECT] = marks[STRONGREJECT]
    if "harmful_score" in (thought := headline_scores(checkpoint.thinking)):
        scores[THINKING] = thought["harmful_score"]
    if checkpoint.lrm is not None:
        scores |= differences(checkpoint.lrm.benchmarks, checkpoint.benchmarks)
    between = record["config"].get("interpolation") if aligned else None
    categories: Document = {"categories": checkpoint.categories} if checkpoint.categories else {}
    if categories and aligned:
        config = record["config"]
        categories["trained_on"] = trained_on(config["dataset"], config["categories"])
    method = {"method": record["config"].get("method"), "data": checkpoint.data, "shift": checkpoint.shift}
    method["recipe"] = fingerprint_of([record["config"].get("alignment"), between])  # how it was trained, not on what
    return {
        "id": checkpoint.id,
        "role": checkpoint.role,
        "model": checkpoint.entry["model"],
        "dataset": record["dataset"] if aligned else None,
        "variant": checkpoint.variant.name,
        "evaluation": (record["config"].get("evaluation") or {}).get("name"),
        "weights": checkpoint.name,
        "epochs": float(record["epochs"]) if aligned else 0.0 if checkpoint.role == "lrm" else None,
        "seed": record["seed"] if aligned else None,
        "lrm_seed": record["lrm_seed"],
        "lrm": checkpoint.lrm.id if aligned and checkpoint.lrm else None,
        "benchmarks": checkpoint.documents,
        "scores": scores,
        **({} if checkpoint.variant.series is None else {"series": checkpoint.variant.series}),
        **({} if between is None else {"interpolation": between}),
        **(method if aligned else {}),
        **categories,
    }


def _place(checkpoint: Document) -> tuple[Any, ...]:
    return (
        checkpoint["model"],
        ROLES.index(checkpoint["role"]),
        checkpoint["dataset"] or "",
        variant_place(checkpoint),
        checkpoint["epochs"] or 0.0,
        checkpoint["lrm_seed"],
        checkpoint["seed"] or 0,
        checkpoint["id"],
    )


def _run(run: Run, own: Sequence[_Checkpoint]) -> Document:
    keys = ("name", "id", "stage", "model", "dataset", "epochs", "seed", "lrm_seed", "world")
    return {key: run.record.get(key) for key in keys} | {"checkpoints": [checkpoint.id for checkpoint in own]}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    # Adding 0 turns -0.0 into 0.0.
    return round(value, 6) + 0.0 if isinstance(value, float) else value
