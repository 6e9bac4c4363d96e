"""How likely a checkpoint finds traces that the reasoning model wrote, or that are written for it, in one forward pass.

A trace is what stands behind a problem's prompt: thinking, the markup that closes it, answer and end of the turn. The
prompt opens the thinking, so that its mark is no part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from safetax.data.chat import ChatRenderer, TrainingRow
from safetax.records import Example
from safetax.training.perplexity import read_rows
from safetax.training.rows import BadRows, usable_rows

NO_LIMIT = 2**62
"""Tokens of the longest trace that is read: what a model wrote it can read."""


@dataclass(frozen=True)
class TraceRow:
    """A tokenised trace, and which of its supervised tokens begin it: those from ``begin`` up to ``opened``."""

    id: str
    row: TrainingRow
    begin: int
    opened: int


@dataclass(frozen=True)
class TraceLikelihood:
    """Tokens of a trace and the sum of their negative log-likelihoods in nats.

    ``opening`` is that of its first token; ``warm`` that of all behind it at another temperature than 1: a model that
    begins otherwise may still know how to go on.
    """

    id: str
    tokens: int
    nll: float
    opening: float
    warm: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the line of ``perplexity.jsonl`` as JSON values."""
        line = {"id": self.id, "tokens": self.tokens, "nll": self.nll, "opening": self.opening}
        return line if self.warm is None else {**line, "warm": self.warm}


def trace_rows(examples: Sequence[Example], renderer: ChatRenderer, bad_rows: BadRows) -> list[TraceRow]:
    """Return the rows of traces; there may be none.

    Args:
        examples: prompts with thinking and answer.
        renderer: renders and tokenises them.
        bad_rows: takes the rows that cannot be read.
    """
    if not examples:
        return []
    found = []
    for example, row in usable_rows(examples, renderer, NO_LIMIT, bad_rows):
        begin, opened = renderer.opening(example, row)
        found.append(TraceRow(example.id, row, begin - row.completion_start, opened - row.completion_start))
    return found


def measure_traces(
    model: Any,
    rows: Sequence[TraceRow],
    pad: int,
    batch: int,
    temperature: float | None = None,
    report: Callable[[int], None] = lambda tokens: None,
) -> list[TraceLikelihood]:
    """Return the likelihood of each trace under a model, in their order.

    Args:
        model: a causal language model of transformers, in the number format of the arithmetic.
        rows: the traces.
        pad: token that shorter rows of a batch are filled with.
        batch: most rows of a batch.
        temperature: another one than 1 at which traces are read too; None: none.
        report: called with the number of tokens that were read, padding left out, after each batch.
    """
    temperatures = [1.0] if temperature is None else [1.0, temperature]
    read = read_rows(model, [row.row for row in rows], pad, batch, temperatures, report)
    found = {place: _likelihood(rows[place], losses) for place, losses in read}
    return [found[place] for place in range(len(rows))]


def _likelihood(row: TraceRow, losses: Sequence[Sequence[float]]) -> TraceLikelihood:
    plain, *warm = (of[row.begin :] for of in losses)
    return TraceLikelihood(
        row.id,
        tokens=len(plain),
        nll=math.fsum(plain),
        opening=math.fsum(plain[: row.opened - row.begin]),
        warm=math.fsum(warm[0][row.opened - row.begin :]) if warm else None,
    )


def summarise_traces(rows: Sequence[TraceLikelihood]) -> dict[str, Any]:
    """Return tokens, mean negative log-likelihood of a token in nats, and mean probabilities (0 to 1) of traces.

    ``opening`` is the mean probability of a trace's first token, ``whole`` that of all behind it at the other
    temperature. Of no traces there are no means.
    """
    if not rows:
        return {"tokens": 0, "nll": None, "opening": None, "whole": None}
    tokens = sum(row.tokens for row in rows)
    warm = [math.exp(-row.warm) for row in rows if row.warm is not None]
    return {
        "tokens": tokens,
        "nll": math.fsum(row.nll for row in rows) / tokens,
        "opening": math.fsum(math.exp(-row.opening) for row in rows) / len(rows),
        "whole": math.fsum(warm) / len(rows) if warm else None,
    }
