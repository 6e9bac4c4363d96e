"""The page's tables of harmful scores by category of the prompt: rows are models, columns are categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from safetax.results.document import Checkpoint, CountedEstimate, Results
from safetax.results.sample_counts import without_fewer
from safetax.statistics import OverSeeds, over_seeds


@dataclass(frozen=True)
class CategoryCell:
    """The harmful score of one category over runs, ``n`` prompts of each, and whether it was trained on."""

    score: OverSeeds
    n: tuple[int, ...]
    trained: bool

    @property
    def heat(self) -> int:
        """How harmful it is, from 0 to 10."""
        return round(self.score.mean / 10)


@dataclass(frozen=True)
class CategoryRow:
    """The LRM, or a method at its last epochs; a cell that no run has is left out."""

    label: str
    epochs: float
    trained_on: tuple[str, ...]
    cells: Mapping[str, CategoryCell]


@dataclass(frozen=True)
class CategoryTable:
    """The harmful scores of a model on a benchmark whose prompts have categories."""

    model: str
    benchmark: str
    rows: list[CategoryRow]

    @property
    def categories(self) -> list[str]:
        """The columns."""
        return sorted({category for row in self.rows for category in row.cells})

    @property
    def trained(self) -> bool:
        """Whether any cell was trained on."""
        return any(cell.trained for row in self.rows for cell in row.cells.values())


def category_tables(results: Results) -> list[CategoryTable]:
    """Return for each model and benchmark whose prompts have categories a table of harmful scores."""
    results = without_fewer(results)
    tables: dict[tuple[str, str], CategoryTable] = {}
    for model in results.models:
        lrms = [each for each in results.checkpoints if each.model == model and each.role == "lrm"]
        groups: list[tuple[str, float, list[Checkpoint]]] = [("LRM", 0.0, lrms)] if lrms else []
        for curve in results.curves:
            if curve.model == model:
                groups.append((curve.label, curve.points[-1].epochs, results.of(curve.points[-1])))
        for label, epochs, checkpoints in groups:
            for benchmark in dict.fromkeys(name for each in checkpoints for name in each.categories):
                table = tables.setdefault((model, benchmark), CategoryTable(model, benchmark, []))
                table.rows.append(_row(label, epochs, checkpoints, benchmark))
    return list(tables.values())


def _row(label: str, epochs: float, checkpoints: Sequence[Checkpoint], benchmark: str) -> CategoryRow:
    held = [each.categories[benchmark] for each in checkpoints if benchmark in each.categories]
    trained = tuple(dict.fromkeys(name for each in checkpoints for name in each.trained_on or ()))
    cells = {
        category: _cell([each[category] for each in held if category in each], category in trained)
        for category in dict.fromkeys(name for each in held for name in each)
    }
    return CategoryRow(label, epochs, trained, cells)


def _cell(scores: Sequence[CountedEstimate], trained: bool) -> CategoryCell:
    return CategoryCell(over_seeds(scores), tuple(score.n for score in scores), trained)
