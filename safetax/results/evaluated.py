"""Evaluates the checkpoints that runs recorded: what every judge measured, as it goes into the results document.

The same weights may be evaluated in several ways, such as the published one and a sounder one: what that changes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

from safetax.results.agreement import Judged
from safetax.results.categories import by_category
from safetax.results.document import (
    Benchmark,
    Checkpoint,
    CountedEstimate,
    EvaluatedAs,
    EvaluationPair,
    EvaluationSteps,
    JudgeScores,
    Score,
)
from safetax.results.metrics import BROKEN, HARMFUL_SCORE, SHARES, STRONGREJECT, THINKING
from safetax.results.reader import RecordedRun, StepReader
from safetax.results.record import made_by
from safetax.results.retention import TracesRead, retention_differences, retention_scores, traces_read
from safetax.results.scores import (
    REPEATED,
    Measured,
    benchmark_scores,
    difference,
    differences,
    headline_scores,
    measure,
)

FIRST = "paper"
"""The evaluation that the others are compared with, where it is among them."""


@dataclass(frozen=True)
class EvaluatedBenchmark:
    """What a checkpoint's responses to one benchmark came to."""

    document: Benchmark
    measured: Measured
    """What the headline judge measured."""
    marked: Measured | None
    """By the judge that gives StrongREJECT scores, where there is one."""
    thinking: Measured | None
    """What a judge of the thinking alone measured, where there is one."""
    judged: Judged | None
    """What several judges of answers said of the same responses."""
    categories: Mapping[str, CountedEstimate]
    """Harmful scores by category of the prompt, where the run asks for them."""


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A checkpoint with all that its benchmarks came to."""

    benchmarks: Mapping[str, EvaluatedBenchmark]

    @cached_property
    def measured(self) -> dict[str, Measured]:
        """What the headline judges measured, by benchmark."""
        return {name: each.measured for name, each in self.benchmarks.items()}

    @cached_property
    def scores(self) -> dict[str, Score]:
        """The headline scores, with those that stand beside them."""
        scores = headline_scores(self.measured)
        marked = {name: each.marked for name, each in self.benchmarks.items() if each.marked}
        if STRONGREJECT in (marks := headline_scores(marked)):
            scores[STRONGREJECT] = marks[STRONGREJECT]
        thinking = {name: each.thinking for name, each in self.benchmarks.items() if each.thinking}
        if HARMFUL_SCORE in (thought := headline_scores(thinking)):
            scores[THINKING] = thought[HARMFUL_SCORE]
        return scores


def evaluation_key(entry: Mapping[str, Any]) -> str:
    """Return what makes two checkpoints of records the same: weights and evaluations, the headline judge first."""
    return json.dumps([weights_of(entry), entry["evaluations"]])


def weights_of(entry: Mapping[str, Any]) -> str:
    """Return the fingerprint of the step that made a checkpoint's weights, or the name of the starting model."""
    step = made_by(entry)
    return step.split("/")[1] if step else entry["model"]


class Evaluator:
    """Evaluates each checkpoint, and compares it with its LRM, once, however many runs and reports hold it."""

    def __init__(self, steps: StepReader) -> None:
        self.steps = steps
        self._evaluated: dict[tuple[str, ...], Evaluated] = {}
        self._differences: dict[tuple[Evaluated, Evaluated], dict[str, Score]] = {}
        self._read: dict[str, TracesRead] = {}
        self._retention: dict[tuple[TracesRead, TracesRead | None], dict[str, Score]] = {}

    def evaluate(self, entry: Mapping[str, Any], run: RecordedRun) -> Evaluated:
        """Return what the evaluations of a checkpoint came to, as the run that recorded it asks for them."""
        config = run.record["config"]
        judges = config.get("judge") or {}
        readers = [name for name, judge in judges.items() if (judge or {}).get("part") == "thinking"]
        key = (evaluation_key(entry), config.get("categories") or "", *readers)
        if key not in self._evaluated:
            self._evaluated[key] = Evaluated(
                {
                    evaluation["benchmark"]: self._benchmark(evaluation, entry["model"], run, readers)
                    for evaluation in entry["evaluations"]
                }
            )
        return self._evaluated[key]

    def traces_read(self, readings: Mapping[str, Mapping[str, str]], run: RecordedRun) -> TracesRead:
        """Return what a checkpoint read, the same object for the same readings."""
        key = json.dumps(readings, sort_keys=True)
        if key not in self._read:
            self._read[key] = traces_read(readings, run, self.steps)
        return self._read[key]

    def retention(self, read: TracesRead, lrm: TracesRead | None) -> dict[str, Score]:
        """Return what a checkpoint retains of the traces that it read and, where the LRM read them, what it lost."""
        if (read, lrm) not in self._retention:
            lost = {} if lrm is None else retention_differences(lrm, read)
            self._retention[read, lrm] = {**retention_scores(read), **lost}
        return self._retention[read, lrm]

    def differences(self, lrm: Evaluated, aligned: Evaluated) -> dict[str, Score]:
        """Return tax and gain of an aligned model, or of the LRM itself."""
        if (lrm, aligned) not in self._differences:
            self._differences[lrm, aligned] = differences(lrm.measured, aligned.measured)
        return self._differences[lrm, aligned]

    def _benchmark(
        self, evaluation: Mapping[str, Any], model: str, run: RecordedRun, readers: Sequence[str]
    ) -> EvaluatedBenchmark:
        summary = self.steps.manifest(f"generate/{evaluation['generate']}", run)["summary"]
        measured = self._measure(evaluation, summary["truncated"], run)
        # Thinking is judged less reliably than answers, so that a judge of it is never the headline's.
        answers = [judge for judge in measured if judge not in readers]
        thinking = [each for judge, each in measured.items() if judge in readers]
        first = _headline_judge(answers or list(measured), measured)
        asked = evaluation["headline"]
        headline = replace(measured[first], headline=asked and bool(answers))
        marked = [measured[judge] for judge in answers if STRONGREJECT in measured[judge].values]
        judged, categories = None, {}
        if len(answers) > 1:
            said = {judge: self.steps.verdicts(evaluation["scores"][judge], run) for judge in answers}
            judged = Judged(model, evaluation["benchmark"], evaluation["measures"], said, headline.groups)
        if category := run.record["config"].get("categories"):
            categories = by_category(headline, self.steps.examples(evaluation["prompts"], run), category)
        judges = {
            judge: JudgeScores(
                benchmark_scores(each),
                each.errors,
                each.unresolved,
                "thinking" if judge in readers else None,
                each.broken,
            )
            for judge, each in measured.items()
        }
        return EvaluatedBenchmark(
            _document(evaluation, summary, judges, first, headline),
            headline,
            replace(marked[0], headline=asked) if marked else None,
            thinking[0] if thinking else None,
            judged,
            categories,
        )

    def _measure(self, evaluation: Mapping[str, Any], truncated: int, run: RecordedRun) -> dict[str, Measured]:
        """Return what each judge measured."""
        groups = self.steps.repeated_prompts(evaluation["prompts"], run)
        measured = {}
        for judge, fingerprint in evaluation["scores"].items():
            looked_for = {REPEATED, BROKEN} & self.steps.manifest(f"score/{fingerprint}", run)["summary"].keys()
            verdicts = self.steps.verdicts(fingerprint, run)
            measured[judge] = measure(evaluation, verdicts, truncated, groups, looked_for)
        return measured


def _document(
    evaluation: Mapping[str, Any],
    summary: Mapping[str, Any],
    judges: Mapping[str, JudgeScores],
    first: str,
    of: Measured,
) -> Benchmark:
    """Return a benchmark of the document, of which the judge ``first`` measured the headline."""
    responses, truncated = summary["responses"], summary["truncated"]
    return Benchmark(
        measures=evaluation["measures"],
        headline=of.headline,
        thinking=evaluation["thinking"],
        judge=first,
        judges=judges,
        n=of.prompts,
        responses=responses,
        truncated=truncated,
        truncation_rate=100 * truncated / responses if responses else 0.0,
        mean_tokens=summary["tokens"] / responses if responses else 0.0,
        steps=EvaluationSteps(evaluation["prompts"], evaluation["generate"], evaluation["scores"]),
        n_unique=of.prompts - len(of.groups) + len(set(of.groups.values())) if of.groups else None,
    )


def _headline_judge(judges: Sequence[str], measured: Mapping[str, Measured]) -> str:
    """Return the first judge that says anything of what the benchmark measures; a judge of harm says no refusals."""
    return next((judge for judge in judges if measured[judge].values), judges[0])


def compare_evaluations(
    checkpoints: Iterable[Checkpoint], measured: Mapping[str, Mapping[str, Measured]]
) -> tuple[EvaluationPair, ...]:
    """Return for each checkpoint that was evaluated in several ways the difference that the way makes, by pair of ways.

    Args:
        checkpoints: the checkpoints of a results document; ``weights`` says which are the same model.
        measured: what the headline judges measured, by checkpoint id and benchmark.

    Returns:
        pairs, whose ``differences`` leave out metrics of which the two have other benchmarks.
    """
    same: dict[tuple[Any, ...], dict[str, str]] = defaultdict(dict)
    for checkpoint in checkpoints:
        if checkpoint.evaluation is not None:
            key = (checkpoint.weights, checkpoint.role, checkpoint.lrm_seed, checkpoint.seed)
            same[key].setdefault(checkpoint.evaluation, checkpoint.id)
    pairs = []
    for by_name in same.values():
        for first, second in combinations(sorted(by_name, key=lambda name: (name != FIRST, name)), 2):
            before, after = by_name[first], by_name[second]
            found = {metric: difference(measured[after], measured[before], metric) for metric in SHARES}
            differences = {metric: score for metric, score in found.items() if score is not None}
            pairs.append(EvaluationPair(EvaluatedAs(first, before), EvaluatedAs(second, after), differences))
    return tuple(pairs)
