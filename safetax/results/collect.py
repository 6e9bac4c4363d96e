"""From the manifests of runs to one document with every score, its interval and its counts: ``results.json``.

The document is deterministic: it holds no clock, host or path. Those stand beside it, in ``provenance.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from safetax.results.agreement import judge_agreement
from safetax.results.alignment_data import AlignmentData, Shift, data_of, shift_of, with_shift
from safetax.results.categories import trained_on
from safetax.results.codec import from_json, to_json
from safetax.results.curves import make_curves, variant_place
from safetax.results.document import Checkpoint, Results, RunEntry
from safetax.results.evaluated import Evaluated, Evaluator, compare_evaluations, evaluation_key, weights_of
from safetax.results.provenance import data_sets, provenance
from safetax.results.published import match_published
from safetax.results.reader import RecordedRun, StepReader, find_runs
from safetax.results.record import latest
from safetax.results.retention import TracesRead
from safetax.results.variants import Variant, data_variants, variants
from safetax.statistics import CONFIDENCE
from safetax.store.step import fingerprint_of

ROLES = ("base", "lrm", "aligned")


@dataclass(frozen=True)
class Collected:
    """What is known of some runs, each file on disk having been read once: for report, page and tracking to share."""

    results: Results
    runs: tuple[RecordedRun, ...]
    """The runs that count, in their order."""
    replaced: tuple[RecordedRun, ...]
    """Runs that newer ones of the same settings replace."""
    evaluator: Evaluator

    @property
    def steps(self) -> StepReader:
        """The steps that the runs stand on."""
        return self.evaluator.steps

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Where and when the steps were made, and what trainings cost: the content of ``provenance.json``."""
        return provenance(self.runs, self.steps, self.results.checkpoints)

    def alone(self, run: RecordedRun) -> Collected:
        """Return what is known of one of the runs as if there were no other; no file is read again for that."""
        return Collected(_results([run], [], self.evaluator), (run,), (), self.evaluator)


def collect(directories: Sequence[Path]) -> Collected:
    """Read the runs of outputs folders, run folders or sweep folders and return their results.

    Raises UserError where there is no run, or where a step that a run needs is missing.
    """
    found = find_runs(directories)
    steps = StepReader(found)
    runs, replaced = latest(found, steps)
    evaluator = Evaluator(steps)
    return Collected(_results(runs, replaced, evaluator), tuple(runs), tuple(replaced), evaluator)


def write_results(collected: Collected, directory: Path) -> Path:
    """Write ``results.json`` and ``provenance.json`` into the folder and return the path of the first."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, value in [("results.json", to_json(collected.results)), ("provenance.json", collected.provenance)]:
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        (directory / name).write_text(text + "\n", encoding="utf-8")
    return directory / "results.json"


@dataclass
class _Candidate:
    """A checkpoint on its way into the document, with the run that is the first to hold it."""

    entry: Mapping[str, Any]
    run: RecordedRun
    evaluated: Evaluated
    data: AlignmentData | None = None
    shift: Shift | None = None
    read: TracesRead | None = None
    lrm_read: TracesRead | None = None
    """What the LRM read in the same run: another run may have had it read otherwise, at another temperature."""
    lrm: _Candidate | None = None
    id: str = ""
    variant: Variant = field(default_factory=Variant)

    @property
    def role(self) -> str:
        return self.entry["role"]


def _results(runs: Sequence[RecordedRun], replaced: Sequence[RecordedRun], evaluator: Evaluator) -> Results:
    candidates: dict[str, _Candidate] = {}
    held = [_held(run, candidates, evaluator) for run in runs]
    _name(candidates)
    checkpoints = {each.id: _checkpoint(each, evaluator) for each in candidates.values()}
    listed = sorted(checkpoints.values(), key=_place)
    measured = {each.id: each.evaluated.measured for each in candidates.values()}
    judged = (part.judged for each in candidates.values() for part in each.evaluated.benchmarks.values())
    results = Results(
        schema=2,
        confidence=CONFIDENCE,
        checkpoints=tuple(listed),
        curves=make_curves(checkpoints),
        evaluations=compare_evaluations(listed, measured),
        published=match_published(_published(runs), listed),
        agreement=judge_agreement(several for several in judged if several is not None),
        data=with_shift(data_sets(runs, evaluator.steps), runs, evaluator.steps),
        runs=tuple(_run_entry(run, own) for run, own in zip(runs, held, strict=True)),
        replaced=tuple(run.name for run in replaced),
    )
    # What is shown is what the file says: numbers with its decimal places, and no more.
    return _with_samples(from_json(Results, to_json(results)), checkpoints)


def _with_samples(results: Results, made: Mapping[str, Checkpoint]) -> Results:
    """Return results as they were read with what their scores were made from, which the file does not hold."""
    listed = []
    for checkpoint in results.checkpoints:
        of = made[checkpoint.id].scores
        scores = {metric: replace(score, sample=of[metric].sample) for metric, score in checkpoint.scores.items()}
        listed.append(replace(checkpoint, scores=scores))
    return replace(results, checkpoints=tuple(listed))


def _held(run: RecordedRun, candidates: dict[str, _Candidate], evaluator: Evaluator) -> list[_Candidate]:
    """Return the checkpoints of a run, adding those that no run before it has."""
    own = []
    of_lrm = next((entry.get("readings") for entry in run.record["checkpoints"] if entry["role"] == "lrm"), None)
    for entry in run.record["checkpoints"]:
        key = evaluation_key(entry)
        if key not in candidates:
            candidates[key] = _Candidate(entry, run, evaluator.evaluate(entry, run))
        # Another run of the same may not have measured its data.
        if candidates[key].data is None and entry.get("data"):
            candidates[key].data = data_of(entry["data"], run, evaluator.steps)
        if candidates[key].shift is None and entry.get("shift"):
            candidates[key].shift = shift_of(entry["shift"], run, evaluator.steps)
        if candidates[key].read is None and entry.get("readings"):
            candidates[key].read = evaluator.traces_read(entry["readings"], run)
            candidates[key].lrm_read = evaluator.traces_read(of_lrm, run) if of_lrm else None
        own.append(candidates[key])
    lrm = next((candidate for candidate in own if candidate.role == "lrm"), None)
    for candidate in own:
        if candidate.role != "base" and candidate.lrm is None:
            candidate.lrm = lrm
    return own


def _name(candidates: Mapping[str, _Candidate]) -> None:
    """Set ids and variants: the same weights evaluated in two ways are two checkpoints and have two ids."""
    same: dict[str, list[str]] = defaultdict(list)
    alike: dict[tuple[Any, ...], list[_Candidate]] = defaultdict(list)
    for key, candidate in candidates.items():
        same[weights_of(candidate.entry)].append(key)
        record = candidate.run.record
        # An aligned model differs from its like by any setting; a base or LRM only from one of the same seed.
        which = record["dataset"] if candidate.role == "aligned" else record["lrm_seed"]
        alike[candidate.role, record["model"], which].append(candidate)
    for name, keys in same.items():
        for key in keys:
            suffix = "-" + hashlib.sha256(key.encode()).hexdigest()[:4] if len(keys) > 1 else ""
            candidates[key].id = name + suffix
    for (role, *_), group in alike.items():
        configs = [candidate.run.record["config"] for candidate in group]
        if role == "aligned":
            named = data_variants(configs, [each.data.distinct if each.data else None for each in group])
        else:
            named = [Variant(name) for name in variants(configs, ("dataset", "alignment", "interpolation"))]
        for candidate, variant in zip(group, named, strict=True):
            candidate.variant = variant


def _checkpoint(candidate: _Candidate, evaluator: Evaluator) -> Checkpoint:
    record, config, evaluated = candidate.run.record, candidate.run.record["config"], candidate.evaluated
    aligned = candidate.role == "aligned"
    tax = {} if candidate.lrm is None else evaluator.differences(candidate.lrm.evaluated, evaluated)
    if candidate.read is not None:
        tax = {**tax, **evaluator.retention(candidate.read, candidate.lrm_read)}
    categories = {name: each.categories for name, each in evaluated.benchmarks.items() if each.categories}
    found = Checkpoint(
        id=candidate.id,
        role=candidate.role,
        model=candidate.entry["model"],
        dataset=record["dataset"] if aligned else None,
        variant=candidate.variant.name,
        evaluation=(config.get("evaluation") or {}).get("name"),
        weights=weights_of(candidate.entry),
        epochs=float(record["epochs"]) if aligned else 0.0 if candidate.role == "lrm" else None,
        seed=record["seed"] if aligned else None,
        lrm_seed=record["lrm_seed"],
        lrm=candidate.lrm.id if aligned and candidate.lrm else None,
        benchmarks={name: each.document for name, each in evaluated.benchmarks.items()},
        scores={**evaluated.scores, **tax},
        series=candidate.variant.series,
        categories=categories,
    )
    if not aligned:
        return found
    between = config.get("interpolation")
    return replace(
        found,
        interpolation=between,
        method=config.get("method"),
        data=candidate.data,
        shift=candidate.shift,
        recipe=fingerprint_of([config.get("alignment"), between]),  # how it was trained, not on what
        trained_on=tuple(trained_on(config["dataset"], config["categories"])) if categories else None,
    )


def _place(checkpoint: Checkpoint) -> tuple[Any, ...]:
    return (
        checkpoint.model,
        ROLES.index(checkpoint.role),
        checkpoint.dataset or "",
        variant_place(checkpoint),
        checkpoint.epochs or 0.0,
        checkpoint.lrm_seed,
        checkpoint.seed or 0,
        checkpoint.id,
    )


def _published(runs: Iterable[RecordedRun]) -> dict[str, set[str]]:
    """Return the sets of published figures that runs with checkpoints name, each with the models of these runs."""
    found: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        if run.record["config"].get("published") and run.record["checkpoints"]:
            found[run.record["config"]["published"]].add(run.record["model"])
    return found


def _run_entry(run: RecordedRun, own: Sequence[_Candidate]) -> RunEntry:
    keys = ("id", "stage", "dataset", "epochs", "seed", "lrm_seed", "world")
    told = {key: run.record.get(key) for key in keys}
    return RunEntry(name=run.name, model=run.record["model"], **told, checkpoints=tuple(each.id for each in own))
