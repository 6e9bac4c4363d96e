"""What results say of the data that a model was aligned on: how many rows, how many of them the LRM wrote, and the
distribution shift, which is the perplexity of the rows under the LRM before and after they were refined.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from safetax.data.datasets.subset import original_of
from safetax.formatting import perplexity_digits
from safetax.results.reader import RecordedRun, StepReader
from safetax.results.record import readings_of
from safetax.statistics import Estimate, OverSeeds, geometric_mean, mean_and_sd, over_seeds, wilson


@dataclass(frozen=True)
class Fallback:
    """Rows whose refinement failed: ``kept`` as they were, ``dropped``, of ``n``; ``rate`` in % with its interval."""

    kept: int
    dropped: int
    n: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class AlignmentData:
    """The data that a model was aligned on; see ``alignment_data.data_of``."""

    step: str
    examples: int
    distinct: int
    draw: int | None
    draws: tuple[int, ...]
    fallback: Fallback | None
    refined_from: str | None = None


@dataclass(frozen=True)
class Perplexity:
    """Perplexity under the LRM: by tokens with its interval, and the geometric mean of the samples' own.

    A single sample, or samples that are all alike, have no interval.
    """

    token: float
    low: float | None
    high: float | None
    sample: float
    tokens: int
    samples: int


@dataclass(frozen=True)
class Perplexities:
    """Perplexity of all supervised tokens and of their parts; None for a part that no row has."""

    all: Perplexity
    thinking: Perplexity | None
    answer: Perplexity | None


@dataclass(frozen=True)
class Shift:
    """Distribution shift of alignment data: perplexities as trained on and, of refined data, before that."""

    after: Perplexities | None
    before: Perplexities | None


@dataclass(frozen=True)
class MeasuredShift(Perplexities):
    """The perplexities of a data set under one LRM."""

    step: str
    title: str


@dataclass(frozen=True)
class DataSet:
    """A data step: its counts as its manifest has them and, where they were measured, its perplexities."""

    step: str
    title: str
    summary: Mapping[str, Any]
    shift: tuple[MeasuredShift, ...] = ()


def data_of(step: str, run: RecordedRun, steps: StepReader) -> AlignmentData:
    """Return what is known of alignment data.

    ``distinct`` is the number of samples that are no repetition of another one; what was repeated and then rewritten
    counts once. ``draws`` are the numbers of the draws that chose them, one for each subset that was drawn; ``draw`` is
    that of the data themselves or else the only one. ``fallback`` is None where no row was refined; else ``n`` rows
    were to be, of which no sample of the LRM passed for ``kept``, whose original stands in the data, and ``dropped``;
    ``rate`` is the share of the two in %, with Wilson's interval. It is that of the whole refined data set, also where
    a part of it was taken. Refined data themselves say which data they were ``refined_from``.

    Args:
        step: key of the prepare step.
        run: the run that trained on them.
        steps: finished steps.
    """
    made_of = _made_of(step, run, steps)
    draws = {source: draw for source, summary in made_of.items() if (draw := summary.get("draw")) is not None}
    only = next(iter(draws.values())) if len(draws) == 1 else None
    manifest = steps.manifest(step, run)
    source = manifest["inputs"].get("source") if manifest["summary"].get("fallback") else None
    return AlignmentData(
        step,
        examples=made_of[step]["examples"],
        distinct=_distinct(step, made_of, run, steps),
        draw=draws.get(step, only),
        draws=tuple(draws.values()),
        fallback=_fallback(list(_fallbacks(step, run, steps))),
        refined_from=source["step"] if source else None,
    )


def _made_of(step: str, run: RecordedRun, steps: StepReader) -> dict[str, Mapping[str, Any]]:
    """Return the summaries of a data set and of those that it is made of, by step."""
    manifest = steps.manifest(step, run)
    found = {step: manifest["summary"]}
    for name in sorted(manifest["inputs"]):
        source = manifest["inputs"][name]["step"]
        if source.startswith("prepare/"):
            found |= _made_of(source, run, steps)
    return found


def _distinct(step: str, made_of: Mapping[str, Mapping[str, Any]], run: RecordedRun, steps: StepReader) -> int:
    """Count the rows that repeat no other one, by their ids where rows were repeated before they came to this set."""
    before = (summary for source, summary in made_of.items() if source != step)
    if any(summary.get("distinct", summary["examples"]) < summary["examples"] for summary in before):
        return len({original_of(name) for name in steps.row_ids(step, run)})
    return made_of[step].get("distinct", made_of[step]["examples"])


def _fallbacks(step: str, run: RecordedRun, steps: StepReader) -> Iterator[Mapping[str, Any]]:
    """Yield the counts of the refined data sets that data are made of."""
    manifest = steps.manifest(step, run)
    if manifest["summary"].get("fallback"):
        yield manifest["summary"]["fallback"]
        return
    for entry in manifest["inputs"].values():
        if entry["step"].startswith("prepare/"):
            yield from _fallbacks(entry["step"], run, steps)


def _fallback(counts: Sequence[Mapping[str, Any]]) -> Fallback | None:
    n = sum(count["rows"] for count in counts)
    if not n:
        return None
    fallen, dropped = (sum(count.get(name, 0) for count in counts) for name in ("fallen_back", "dropped"))
    rate = wilson(fallen, n)
    return Fallback(fallen - dropped, dropped, n, 100 * rate.value, 100 * rate.low, 100 * rate.high)


def shift_of(measured: Mapping[str, str], run: RecordedRun, steps: StepReader) -> Shift:
    """Return the perplexities of alignment data under the LRM, ``after`` and, where they were refined, ``before``.

    Args:
        measured: keys of the perplexity steps by ``after`` and ``before``.
        run: the run that asked for them.
        steps: finished steps.
    """
    after, before = (
        Perplexities(**_perplexities(steps.manifest(measured[when], run))) if measured.get(when) else None
        for when in ("after", "before")
    )
    return Shift(after, before)


def _perplexities(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of ``Perplexities`` that a step measured (see ``training.perplexity.summary_of``)."""
    parts = {part: manifest["summary"][part] for part in ("all", "thinking", "answer")}
    return {part: None if values is None else Perplexity(**values) for part, values in parts.items()}


def perplexity_over_runs(measured: Sequence[Perplexity]) -> OverSeeds:
    """Return the geometric mean of perplexities over runs, or that of one run, with its interval."""
    logs = [
        Estimate(*(math.log(end if end is not None else part.token) for end in (part.token, part.low, part.high)))
        for part in measured
    ]
    over, values = over_seeds(logs), tuple(part.token for part in measured)
    return OverSeeds(geometric_mean(values), mean_and_sd(values)[1], math.exp(over.low), math.exp(over.high), values)


def with_shift(data: Sequence[DataSet], runs: Sequence[RecordedRun], steps: StepReader) -> tuple[DataSet, ...]:
    """Return the data sets of a results document with their perplexities, of each LRM that was asked."""
    measured = ((step, run) for run in runs for step in run.record.get("steps", []) if step.startswith("perplexity/"))
    traces = {step for run in runs for step in readings_of(run.record)}
    owners = {step: run for step, run in measured if step not in traces}
    found: dict[str, list[MeasuredShift]] = {}
    for step in sorted(owners):
        manifest = steps.manifest(step, owners[step])
        shift = MeasuredShift(**_perplexities(manifest), step=step, title=manifest["title"])
        found.setdefault(manifest["inputs"]["data"]["step"], []).append(shift)
    return tuple(replace(entry, shift=tuple(found.get(entry.step, ()))) for entry in data)


def perplexity_texts(entry: DataSet) -> list[str]:
    """Return the perplexities of a data set, one for each LRM that was asked: ``1.49 [1.48, 1.51]``, then its parts."""
    return [_perplexity_text(measured) for measured in entry.shift]


def _perplexity_text(measured: MeasuredShift) -> str:
    def shown(value: float) -> str:
        return f"{value:,.{perplexity_digits(value)}f}"

    known = {"thinking": measured.thinking, "answer": measured.answer}
    parts = [f"{name} {shown(part.token)}" for name, part in known.items() if part]
    reach, low, high = shown(measured.all.token), measured.all.low, measured.all.high
    if low is not None and high is not None:
        reach += f" [{shown(low)}, {shown(high)}]"
    return f"{reach} ({', '.join(parts)})" if parts else reach
