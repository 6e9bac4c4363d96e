"""Perplexity of training rows under a model: negative log-likelihoods of their tokens, summed over each part.

``all`` is every token that carries loss in a training: the opening of the thinking where the row has one, the thinking,
the markup that closes it, the answer and the end of the turn. ``thinking`` and ``answer`` are the tokens of these texts
alone, so that the two together are fewer than ``all``. A row that supervises the start of the thinking alone has no
answer, and no markup.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from safetax.data.chat import ChatRenderer, Part, TrainingRow
from safetax.data.datasets.subset import original_of
from safetax.records import Example
from safetax.statistics import ratio_of_sums
from safetax.training.batches import IGNORED, Collator
from safetax.training.loss import SCALED_LOGITS
from safetax.training.rows import BadRows, usable_rows

PARTS = ("all", "thinking", "answer")
LOGITS = 1024
"""Tokens whose logits are held at a time."""
BATCH_TOKENS = 32768
"""Most tokens of a batch, padding included, unless a single row has more."""


@dataclass(frozen=True)
class PerplexityRow:
    """A tokenised example, and of each of its tokens the part that it is of."""

    id: str
    row: TrainingRow
    parts: Sequence[Part | None]


@dataclass(frozen=True)
class RowLikelihood:
    """Number of tokens of each part of a row, and the sum of their negative log-likelihoods in nats."""

    id: str
    tokens: Mapping[str, int]
    nll: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the line of ``perplexity.jsonl`` as JSON values; a part without tokens is None."""
        parts = {
            part: {"tokens": self.tokens[part], "nll": self.nll[part]} if self.tokens[part] else None for part in PARTS
        }
        return {"id": self.id, **parts}


def perplexity_rows(
    examples: Sequence[Example], renderer: ChatRenderer, max_tokens: int, bad_rows: BadRows
) -> list[PerplexityRow]:
    """Return the rows of a data set as a training has them.

    Args:
        examples: the data set.
        renderer: renders and tokenises them.
        max_tokens: longest row.
        bad_rows: takes the rows that cannot be trained on.

    Raises:
        UserError: a row cannot be trained on; names it by index and reason. Or no row is left.
    """
    usable = usable_rows(examples, renderer, max_tokens, bad_rows)
    return [PerplexityRow(example.id, row, renderer.parts(example, row)) for example, row in usable]


def measure_rows(
    model: Any, rows: Sequence[PerplexityRow], pad: int, batch: int, report: Callable[[int], None] = lambda tokens: None
) -> list[RowLikelihood]:
    """Return the likelihood of each row under a model, in their order.

    Args:
        model: a causal language model of transformers, in the number format of the arithmetic.
        rows: the rows.
        pad: token that shorter rows of a batch are filled with.
        batch: most rows of a batch.
        report: called with the number of tokens that were read, padding left out, after each batch.
    """
    read = read_rows(model, [row.row for row in rows], pad, batch, [1.0], report)
    found = {place: _row_likelihood(rows[place], losses) for place, (losses,) in read}
    return [found[place] for place in range(len(rows))]


def read_rows(
    model: Any,
    rows: Sequence[TrainingRow],
    pad: int,
    batch: int,
    temperatures: Sequence[float],
    report: Callable[[int], None],
) -> Iterator[tuple[int, list[list[float]]]]:
    """Yield the place of each row, as it is read, with its tokens' losses in nats at each temperature.

    The arguments are those of :func:`measure_rows` and :func:`tempered_losses`.
    """
    model.eval()
    for places in batches([len(row.tokens) for row in rows], batch):
        losses = tempered_losses(model, [rows[place] for place in places], pad, temperatures)
        for number, place in enumerate(places):
            yield place, [of[number] for of in losses]
        report(sum(len(rows[place].tokens) for place in places))


def batches(lengths: Sequence[int], batch: int) -> Iterator[list[int]]:
    """Yield the indices of each batch's rows, the longest first, so that too long a row fails at once.

    Args:
        lengths: tokens of each row.
        batch: most rows of a batch.
    """
    order = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    while order:
        size = max(1, min(batch, BATCH_TOKENS // lengths[order[0]]))
        yield order[:size]
        order = order[size:]


@torch.inference_mode()
def tempered_losses(
    model: Any, rows: Sequence[TrainingRow], pad: int, temperatures: Sequence[float]
) -> list[list[list[float]]]:
    """Return for each temperature and row the negative log-likelihoods, in nats, of its tokens that carry loss.

    Only their logits are computed, a few tokens at a time, and the logarithm is float32 whatever the model's format.

    Args:
        model: a causal language model of transformers.
        rows: the rows, one batch.
        pad: token that shorter rows are filled with.
        temperatures: what logits are divided by.
    """
    made = Collator(pad)(rows)
    ids, mask = (made[name].to(model.device) for name in ("input_ids", "attention_mask"))
    kept = made["labels"][:, 1:] != IGNORED  # position t predicts token t + 1
    wanted = made["labels"][:, 1:][kept]
    head = model.get_output_embeddings()
    scaled = any(getattr(model.config, name, None) not in (None, 1, 1.0) for name in SCALED_LOGITS)
    if scaled or not isinstance(head, torch.nn.Linear):  # the model does more than multiply
        states, head = model(input_ids=ids, attention_mask=mask, use_cache=False).logits, torch.nn.Identity()
    else:
        states = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    states = states[:, :-1][kept.to(states.device)]
    losses: list[list[float]] = [[] for _ in temperatures]
    for begin in range(0, len(wanted), LOGITS):
        logits = head(states[begin : begin + LOGITS]).float()
        tokens = wanted[begin : begin + LOGITS].to(logits.device).unsqueeze(1)
        for temperature, found in zip(temperatures, losses, strict=True):
            warm = logits / temperature
            found += (warm.logsumexp(1) - warm.gather(1, tokens).squeeze(1)).tolist()
    ends = kept.sum(1).cumsum(0).tolist()
    return [[found[begin:end] for begin, end in zip([0, *ends], ends, strict=False)] for found in losses]


def _row_likelihood(row: PerplexityRow, losses: Sequence[float]) -> RowLikelihood:
    of_part: dict[str, list[float]] = {part: [] for part in PARTS}
    for part, loss in zip(row.parts[row.row.completion_start :], losses, strict=True):
        of_part["all"].append(loss)
        if part is not None:
            of_part[part].append(loss)
    return RowLikelihood(
        row.id,
        {part: len(values) for part, values in of_part.items()},
        {part: math.fsum(values) for part, values in of_part.items()},
    )


def summarise(rows: Sequence[RowLikelihood]) -> dict[str, dict[str, float | None] | None]:
    """Return the perplexity of each part over all rows; None for a part that no row has.

    ``token`` is the perplexity weighted by tokens, exp of the sum of negative log-likelihoods over the number of
    tokens; ``low`` and ``high`` are its 95 % interval: exp of that of its logarithm over samples, all rows that are
    repetitions of one sample being one; None of a single sample, or of samples that are all alike. ``sample`` is the
    geometric mean of the rows' own perplexities. ``tokens`` and ``samples`` are counts, the first of all rows, the
    second of distinct samples; a sample without the part is none of its samples.
    """
    return {part: _summary(part, [row for row in rows if row.tokens[part]]) for part in PARTS}


def _summary(part: str, rows: Sequence[RowLikelihood]) -> dict[str, float | None] | None:
    if not rows:
        return None
    samples: dict[str, list[RowLikelihood]] = {}
    for row in rows:
        samples.setdefault(original_of(row.id), []).append(row)
    estimate = ratio_of_sums(
        {
            name: (math.fsum(row.nll[part] for row in same), sum(row.tokens[part] for row in same))
            for name, same in samples.items()
        }
    )
    sum_of, tokens = math.fsum(row.nll[part] for row in rows), sum(row.tokens[part] for row in rows)
    means = [row.nll[part] / row.tokens[part] for row in rows]
    return {
        "token": math.exp(sum_of / tokens),
        "low": math.exp(estimate.low) if estimate else None,
        "high": math.exp(estimate.high) if estimate else None,
        "sample": math.exp(math.fsum(means) / len(means)),
        "tokens": tokens,
        "samples": len(samples),
    }
