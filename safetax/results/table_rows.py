"""Rows of tables: a checkpoint or, where several seeds made the same one, all of them: mean and standard deviation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safetax.results.scores import METRICS
from safetax.statistics import spread


@dataclass(frozen=True)
class Cell:
    """A score of a row: of one seed its value and interval, of several their mean, deviation and range."""

    value: float
    low: float
    high: float
    sd: float | None
    n: tuple[int, ...]

    @property
    def exact(self) -> bool:
        """Whether nothing is estimated: the LRM's tax and gain against itself."""
        return self.sd is None and self.low == self.high


@dataclass(frozen=True)
class Row:
    """A checkpoint, or the same one of several seeds."""

    model: str
    role: str
    dataset: str | None
    variant: str
    epochs: float | None
    seeds: int
    cells: Mapping[str, Cell]
    responses: int
    truncated: int
    errors: int
    published: Mapping[str, float]
    """What a paper reports of the same checkpoint, by measure; no part of any of our statistics."""

    @property
    def name(self) -> str:
        """The data set, or what the checkpoint is where it has none."""
        name = self.dataset or {"base": "base", "lrm": "LRM"}.get(self.role, self.role)
        return f"{name} ({self.variant})" if self.variant else name

    @property
    def prompts(self) -> str:
        """Prompts per score: one number, or the smallest and the largest; times the seeds."""
        counts = sorted({n for cell in self.cells.values() for n in cell.n})
        text = "–".join(str(n) for n in dict.fromkeys([*counts[:1], *counts[-1:]]))
        return f"{text} × {self.seeds}" if self.seeds > 1 else text


def table_rows(results: Mapping[str, Any]) -> list[Row]:
    """Return the rows in the order of the document: base, LRM, then the data sets by epochs."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for checkpoint in results["checkpoints"]:
        key = tuple(checkpoint[part] for part in ("model", "role", "dataset", "variant", "epochs"))
        groups.setdefault(key, []).append(checkpoint)
    published = _published(results)
    return [_row(key, checkpoints, published) for key, checkpoints in groups.items()]


def _published(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return published figures by checkpoint and measure."""
    found: dict[str, dict[str, float]] = {}
    for listed in results["published"]:
        for row in listed["rows"]:
            for ours in row["ours"]:
                for identity in ours["checkpoints"]:
                    found.setdefault(identity, {}).update(row["values"])
    return found


def published_columns(results: Mapping[str, Any]) -> dict[str, str]:
    """Return the measures of published figures that the table has columns for, with their names."""
    held = {measure for values in _published(results).values() for measure in values}
    measures = {key: item["name"] for listed in results["published"] for key, item in listed["measures"].items()}
    return {key: name for key, name in measures.items() if key in held}


def _row(
    key: tuple[Any, ...], checkpoints: Sequence[Mapping[str, Any]], published: Mapping[str, Mapping[str, float]]
) -> Row:
    model, role, dataset, variant, epochs = key
    cells = {}
    for metric in METRICS:
        found = [checkpoint["scores"][metric] for checkpoint in checkpoints if metric in checkpoint["scores"]]
        # A mean over the seeds that happen to have a score would be of other seeds than the row says.
        if len(found) == len(checkpoints):
            over = spread([score["value"] for score in found])
            low, high = (over.low, over.high) if len(found) > 1 else (found[0]["low"], found[0]["high"])
            sd = None if over.sd is None else round(over.sd, 6)
            cells[metric] = Cell(round(over.mean, 6), low, high, sd, tuple(score["n"] for score in found))
    benchmarks = [
        benchmark
        for checkpoint in checkpoints
        for benchmark in checkpoint["benchmarks"].values()
        if benchmark["headline"]
    ]
    return Row(
        model,
        role,
        dataset,
        variant,
        epochs,
        len(checkpoints),
        cells,
        responses=sum(benchmark["responses"] for benchmark in benchmarks),
        truncated=sum(benchmark["truncated"] for benchmark in benchmarks),
        errors=sum(benchmark["judges"][benchmark["judge"]]["errors"] for benchmark in benchmarks),
        published=published.get(checkpoints[0]["id"], {}),
    )
