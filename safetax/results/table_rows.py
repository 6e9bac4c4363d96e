"""Rows of tables: a checkpoint or, where several seeds made the same one, all of them: their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safetax.results.curves import point_score
from safetax.results.document import Checkpoint, PointScore, Results
from safetax.results.metrics import BROKEN, HEADLINE


@dataclass(frozen=True)
class CheckpointRow:
    """A checkpoint, or the same one of several seeds."""

    first: Checkpoint
    """The checkpoint of the first seed."""
    seeds: int
    cells: Mapping[str, PointScore]
    responses: int
    truncated: int
    errors: int
    published: Mapping[str, float]
    """What a paper reports of the same checkpoint, by measure; no part of any of our statistics."""

    @property
    def name(self) -> str:
        """The data set, or what the checkpoint is where it has none."""
        first = self.first
        name = first.dataset or {"base": "base", "lrm": "LRM"}.get(first.role, first.role)
        return f"{name} ({first.variant})" if first.variant else name

    @property
    def prompts(self) -> str:
        """Prompts per score: one number, or the smallest and the largest; times the seeds."""
        counts = sorted({n for cell in self.cells.values() for n in cell.n})
        text = "–".join(str(n) for n in dict.fromkeys([*counts[:1], *counts[-1:]]))
        return f"{text} × {self.seeds}" if self.seeds > 1 else text


def table_rows(results: Results) -> list[CheckpointRow]:
    """Return the rows in the order of the document: base, LRM, then the data sets by epochs."""
    groups: dict[tuple[Any, ...], list[Checkpoint]] = {}
    for each in results.checkpoints:
        groups.setdefault((each.model, each.role, each.dataset, each.variant, each.epochs), []).append(each)
    published = _published(results)
    return [_row(checkpoints, published.get(checkpoints[0].id, {})) for checkpoints in groups.values()]


def _published(results: Results) -> dict[str, dict[str, float]]:
    """Return published figures by checkpoint and measure."""
    found: dict[str, dict[str, float]] = {}
    for row in (row for listed in results.published for row in listed.rows):
        for identity in (identity for ours in row.ours for identity in ours.checkpoints):
            found.setdefault(identity, {}).update(row.values)
    return found


def published_columns(results: Results) -> dict[str, str]:
    """Return the measures of published figures that the table has columns for, with their names."""
    held = {measure for values in _published(results).values() for measure in values}
    measures = {key: measure.name for listed in results.published for key, measure in listed.measures.items()}
    return {key: name for key, name in measures.items() if key in held}


def _row(checkpoints: Sequence[Checkpoint], published: Mapping[str, float]) -> CheckpointRow:
    seeds = [each.lrm_seed for each in checkpoints]
    cells = {
        metric: point_score([each.scores.get(metric) for each in checkpoints], seeds) for metric in (*HEADLINE, BROKEN)
    }
    benchmarks = [held for each in checkpoints for held in each.benchmarks.values() if held.headline]
    return CheckpointRow(
        checkpoints[0],
        len(checkpoints),
        {metric: cell for metric, cell in cells.items() if cell is not None},
        responses=sum(benchmark.responses for benchmark in benchmarks),
        truncated=sum(benchmark.truncated for benchmark in benchmarks),
        errors=sum(benchmark.judged.errors for benchmark in benchmarks),
        published=published,
    )
