"""Rows that the reasoning model writes itself: rewritten ones (DGR), or answers under steering (ThinkSafe).

The model is asked with ``prompts``, which are made of the rows of ``source``. What it answers is checked and judged as
an answer to the source's own question, and takes the place of the source's thinking and answer; where no sample of a
row passes, ``fallback`` says what becomes of the row. DGR's own prompt, sampling, filter and number of tries are not
published: all of them are settings here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from safetax.config.components import DatasetConfig, JudgeConfig
from safetax.config.fields import AtLeast, Between, HashedUnless, Kind, MoreThan
from safetax.data.datasets import DatasetContext
from safetax.data.datasets._derived import DerivedDataset, needs_of_source, rows_of_input
from safetax.data.marks import flaw_in
from safetax.errors import ConfigError, UserError
from safetax.records import Example, Response, Verdict, read_records

ON_POLICY = True
"""Its inputs are steps: its data sets, and ``responses`` and ``verdicts`` of each round."""
JUDGED = "source"
"""The input whose rows the judge takes for what was asked."""

GRAM = 4
"""Words of a run that counts as copied."""


@dataclass(frozen=True, kw_only=True)
class Checks:
    """What a sample must be."""

    labels: list[str]
    """The judge's labels that it may have, such as ``refusal`` or ``safe``."""
    benign_labels: Annotated[list[str] | None, HashedUnless(None)] = None
    """The same for rows whose meta says ``harmful: false``; null: no others."""
    closed: bool = True
    """Whether the model must have closed its thinking and ended its answer itself; else a budget may have cut it."""
    max_copied: Annotated[float, Between(0, 1)] = 0.8
    """Largest share of its runs of four words that stand in the source's thinking or answer."""
    min_words: Annotated[int, AtLeast(0)] = 1
    """Of thinking and answer, together."""
    max_words: Annotated[int, AtLeast(1)] | None = None
    without: list[str] = field(default_factory=list)
    """Beginnings of words that it must not hold, in any case of letters, such as those that speak of the rewriting."""


@dataclass(frozen=True, kw_only=True)
class Config(DerivedDataset):
    """A row of ``source`` becomes the first of its samples that passes the checks.

    ``fallback``, where none does: ``keep`` the source's own row, ``drop`` it, or ``resample``: sample anew up to
    ``rounds`` times in all, then keep it.
    """

    prompts: Annotated[DatasetConfig, Kind("datasets")]
    """A prompt for each row of the source, with its id."""
    judge: Annotated[JudgeConfig, Kind("judges")]
    checks: Checks
    tries: Annotated[int, AtLeast(1)] = 1
    """Samples of each prompt in a round."""
    fallback: Literal["keep", "drop", "resample"] = "keep"
    rounds: Annotated[int, AtLeast(1)] = 1
    temperature: Annotated[float, AtLeast(0)] = 0.6
    top_p: Annotated[float, MoreThan(0), Between(high=1)] = 0.95
    thinking_budget: Annotated[int, AtLeast(0)] | None = None
    """Tokens of a sample's thinking; null: as in the evaluation. The same for ``answer_budget``."""
    answer_budget: Annotated[int, AtLeast(1)] | None = None

    def __post_init__(self) -> None:
        """Check that rounds and fallback say the same, and that greedy samples are not asked for twice."""
        if (self.rounds > 1) != (self.fallback == "resample"):
            raise ConfigError(
                f"rounds={self.rounds} does not go with fallback={self.fallback}: set rounds=2 or more with "
                "fallback=resample, and rounds=1 with keep or drop."
            )
        if self.temperature == 0 and self.tries * self.rounds > 1:
            raise ConfigError(
                f"tries={self.tries}, rounds={self.rounds} do not go with temperature=0, which gives the same sample "
                "each time; set a temperature above 0, or tries=1 and rounds=1."
            )


@dataclass(frozen=True)
class Outcome:
    """What became of a source row: the row that passed, or why its first sample did not."""

    row: Example | None
    reason: str


needs = needs_of_source


def build(config: Config, context: DatasetContext) -> list[Example]:
    """Assemble the training examples; the summary's ``fallback`` counts the rows without a sample that passes.

    Raises:
        UserError: no row is left.
    """
    source = rows_of_input(context)
    rejected: Counter[str] = Counter()
    found = outcomes(config.checks, source, context.inputs, rejected)
    examples: list[Example] = []
    reasons: Counter[str] = Counter()
    for row in source:
        outcome = found[row.id]
        if outcome.row is not None:
            examples.append(outcome.row)
            continue
        reasons[outcome.reason] += 1
        if config.fallback != "drop":
            examples.append(replace(row, meta={**row.meta, "refined": False}))
    context.summary["fallback"] = {
        "rows": len(source),
        "fallen_back": reasons.total(),
        "dropped": len(source) - len(examples),
        "reasons": dict(sorted(reasons.items())),
    }
    context.summary["rejected"] = dict(sorted(rejected.items()))
    if not examples:
        why = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
        raise UserError(f"dataset {config.name}: no sample of {len(source)} rows passes its checks ({why})")
    return examples


def outcomes(
    checks: Checks, source: list[Example], inputs: Mapping[str, Path], rejected: Counter[str] | None = None
) -> dict[str, Outcome]:
    """Return what became of each source row, by id, after the rounds that are among the inputs.

    Args:
        checks: what a sample must be.
        source: the rows.
        inputs: folders with ``responses``, ``verdicts``, and those of later rounds, ``responses-2`` and so on.
        rejected: counts the samples that do not pass, by reason.
    """
    rows = {row.id: row for row in source}
    found = {name: Outcome(None, "it was not sampled") for name in rows}
    first: set[str] = set()
    for response, verdict in samples_of(inputs):
        if response.id not in rows or found[response.id].row is not None:
            continue
        reason = _flaw(checks, rows[response.id], response, verdict)
        if reason is None:
            found[response.id] = Outcome(_refined(rows[response.id], response, verdict), "")
            continue
        if rejected is not None:
            rejected[reason] += 1
        if response.id not in first:
            first.add(response.id)
            found[response.id] = Outcome(None, reason)
    return found


def samples_of(inputs: Mapping[str, Path]) -> Iterator[tuple[Response, Verdict]]:
    """Yield the samples with their verdicts: each round's first samples, then its second ones, then the next round."""
    number = 1
    while (suffix := "" if number == 1 else f"-{number}", f"responses{suffix}" in inputs)[1]:
        responses = read_records(inputs[f"responses{suffix}"] / "responses.jsonl", Response)
        verdicts = read_records(inputs[f"verdicts{suffix}"] / "verdicts.jsonl", Verdict)
        judged = {(verdict.id, verdict.repeat): verdict for verdict in verdicts}
        for response in sorted(responses, key=lambda response: response.repeat):
            yield response, judged[response.id, response.repeat]
        number += 1


def _flaw(checks: Checks, source: Example, response: Response, verdict: Verdict) -> str | None:
    """Return why a sample does not pass, in the same words for all such samples; None: it passes."""
    thinking, answer = (response.thinking or "").strip(), response.answer.strip()
    if checks.closed and response.end_of_thinking not in ("closed", "none", "suppressed"):
        return "its thinking is not closed"
    if checks.closed and response.end_of_answer != "stop":
        return "its answer is not ended"
    if not answer:
        return "its answer is empty"
    if flaw := flaw_in(thinking, answer):
        return flaw
    text = f"{thinking} {answer}"
    words = len(text.split())
    if words < checks.min_words:
        return "it is too short"
    if checks.max_words is not None and words > checks.max_words:
        return "it is too long"
    if any(re.search(rf"(?<!\w){re.escape(part)}", text, re.IGNORECASE) for part in checks.without):
        return "it speaks of what it must not"
    if copied(text, f"{source.thinking or ''} {source.answer or ''}") > checks.max_copied:
        return "it is a copy of the source"
    if verdict.error is not None:
        return "its judging failed"
    labels = checks.benign_labels if source.meta.get("harmful") is False else None
    if verdict.label not in (checks.labels if labels is None else labels):
        return f"it is judged {verdict.label}"
    return None


def _refined(source: Example, response: Response, verdict: Verdict) -> Example:
    # How the model goes from its thinking to the answer is its own, too; formats without white space take it away.
    thinking = None if response.thinking is None else response.thinking.lstrip()
    meta = {**source.meta, "refined": True, "verdict": verdict.label}
    return replace(source, thinking=thinking, answer=response.answer.strip(), meta=meta)


def copied(text: str, source: str) -> float:
    """Return the share of a text's runs of four words that stand in the source; of a shorter text it is 1 or 0."""
    own, theirs = _words(text), _words(source)
    size = min(GRAM, len(own))
    if not size:
        return 0.0
    known = {tuple(theirs[at : at + size]) for at in range(len(theirs) - size + 1)}
    runs = [tuple(own[at : at + size]) for at in range(len(own) - size + 1)]
    return sum(run in known for run in runs) / len(runs)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
