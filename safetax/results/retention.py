"""What becomes of the reasoning model's own traces: how likely a checkpoint still finds them.

Accuracy says whether the likeliest answer is still right; these say how far from wrong it has come. They vary less from
seed to seed, and show damage before accuracy falls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from safetax.results.document import Score
from safetax.results.metrics import FORGETTING, OPENING, REFERENCE_FORGETTING, RETENTION, RETENTION_LOSS
from safetax.results.reader import RecordedRun, StepReader
from safetax.statistics import CONFIDENCE, Estimate, Sample, Values, estimate, intervals, p_value, ratio_of_sums

OWN, REFERENCE = "own", "reference"
NATS = 100.0
"""Tokens that a loss in nats is told of."""


@dataclass(frozen=True)
class TraceSums:
    """Of a trace its tokens, and the negative log-likelihoods, in nats, of it, of its first token and, at another
    temperature, of all behind that."""

    tokens: int
    nll: float
    opening: float
    warm: float | None


Readings = Mapping[str, Mapping[str, TraceSums]]
"""By benchmark and problem."""


@dataclass(frozen=True, eq=False)
class TracesRead:
    """What a checkpoint read: the LRM's own correct traces, and reference traces."""

    own: Readings
    reference: Readings


def traces_read(readings: Mapping[str, Mapping[str, str]], run: RecordedRun, steps: StepReader) -> TracesRead:
    """Return what a checkpoint read.

    Args:
        readings: fingerprints of perplexity steps by benchmark and whose traces they are of.
        run: the run that asked for them.
        steps: finished steps.
    """

    def of(whose: str) -> dict[str, dict[str, TraceSums]]:
        named = {benchmark: found[whose] for benchmark, found in readings.items() if whose in found}
        return {
            benchmark: {
                row["id"]: TraceSums(row["tokens"], row["nll"], row["opening"], row.get("warm"))
                for row in steps.traces(fingerprint, run)
            }
            for benchmark, fingerprint in named.items()
        }

    return TracesRead(of(OWN), of(REFERENCE))


def retention_scores(read: TracesRead) -> dict[str, Score]:
    """Return retention, where whole traces were read at a temperature, and the probability of the first token."""
    found = {}
    for metric in (RETENTION, OPENING):
        values = _probabilities(read.own, metric)
        if values:
            sample = Sample(values)
            found[metric] = _score(estimate(sample), values, "score", sample)
    return found


def retention_differences(lrm: TracesRead, checkpoint: TracesRead) -> dict[str, Score]:
    """Return how much of its retention a checkpoint lost to the LRM, and how much it forgot.

    A difference is left out unless both read the same traces.
    """
    found = {}
    before, after = (_probabilities(read.own, RETENTION) for read in (lrm, checkpoint))
    if before and _same(before, after):
        found[RETENTION_LOSS] = _paired(before, after, lrm is checkpoint)
    for metric, first, second in (
        (FORGETTING, lrm.own, checkpoint.own),
        (REFERENCE_FORGETTING, lrm.reference, checkpoint.reference),
    ):
        if any(first.values()) and _same(first, second):
            found[metric] = _forgetting(first, second)
    return found


def _probabilities(readings: Readings, metric: str) -> dict[str, Values]:
    """Return the probability of each trace, whole and warmed or of its first token; nothing where it was not read."""
    found: dict[str, Values] = {}
    for benchmark, traces in readings.items():
        sums = {name: each.warm if metric == RETENTION else each.opening for name, each in traces.items()}
        if not sums or None in sums.values():
            return {}
        found[benchmark] = {f"{benchmark}/{name}": math.exp(-each) for name, each in sums.items() if each is not None}
    return found


def _same(first: Mapping[str, Mapping[str, object]], second: Mapping[str, Mapping[str, object]]) -> bool:
    return {name: each.keys() for name, each in first.items()} == {name: each.keys() for name, each in second.items()}


def _paired(before: Mapping[str, Values], after: Mapping[str, Values], itself: bool) -> Score:
    if itself:
        return _score(Estimate(0.0, 0.0, 0.0), after, "paired")
    sample = Sample(before, after)
    interval = intervals([sample])
    return replace(_score(interval(CONFIDENCE), after, "paired", sample), p=p_value(interval))


def _forgetting(before: Readings, after: Readings) -> Score:
    """Return by how many nats a token of the traces is less likely; every problem counts as its tokens do."""
    parts = {
        f"{benchmark}/{name}": (after[benchmark][name].nll - trace.nll, float(trace.tokens))
        for benchmark, traces in before.items()
        for name, trace in traces.items()
    }
    found = ratio_of_sums(parts)
    if found is None:
        value = math.fsum(nll for nll, _ in parts.values()) / math.fsum(tokens for _, tokens in parts.values())
        found = Estimate(value, value, value)
    return _score(found, before, "ratio")


def _score(
    found: Estimate, readings: Mapping[str, Mapping[str, object]], interval: str, sample: Sample | None = None
) -> Score:
    """Return an estimate in percent, in points, or in nats of a hundred tokens."""
    n = sum(len(each) for each in readings.values())
    value, low, high = (NATS * end for end in (found.value, found.low, found.high))
    return Score(value, low, high, n, truncated=0, errors=0, interval=interval, sample=sample)
