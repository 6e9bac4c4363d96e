"""Which differences of a table are told apart from 0, all of the table's being corrected together (Holm)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from safetax.results.document import Results
from safetax.results.method_rows import MethodRow
from safetax.results.metrics import DIFFERENCES, OF_METHODS
from safetax.results.refinement import Effect
from safetax.results.table_rows import CheckpointRow
from safetax.statistics import CONFIDENCE, holm

MARK = "*"


class Compared(Protocol):
    """A difference with its p-value, None where nothing is tested."""

    @property
    def p(self) -> float | None:
        """The two-sided p-value of no difference."""
        ...


class Family:
    """The comparisons of one table.

    Attributes:
        size: how many there are.
    """

    def __init__(self, compared: Iterable[Compared | None]) -> None:
        tested = {id(each): each.p for each in compared if each is not None and each.p is not None}
        self.size = len(tested)
        self._corrected = dict(zip(tested, holm(list(tested.values())), strict=True))

    def p(self, of: Compared | None) -> float | None:
        """Return the corrected p-value of one of the comparisons; None where it was not tested."""
        return self._corrected.get(id(of))

    def mark(self, of: Compared | None) -> str:
        """Return a star where a comparison differs from 0, else nothing."""
        p = self.p(of)
        return MARK if p is not None and p < 1 - CONFIDENCE else ""

    @property
    def note(self) -> str:
        """What the star means, and how many comparisons share its error; nothing where none was made."""
        many = f"Holm’s correction over the {self.size} comparisons of this table"
        how = many if self.size > 1 else "no correction, since it is the table’s one comparison"
        return f"{MARK}: differs from 0 at {100 * (1 - CONFIDENCE):.0f} %, after {how}." if self.size else ""


def of_points(results: Results) -> Family:
    """Return the comparisons of the table of epochs."""
    points = [point for curve in results.curves for point in curve.points]
    return Family(point.scores.get(metric) for point in points for metric in DIFFERENCES)


def of_rows(rows: Sequence[CheckpointRow]) -> Family:
    """Return the comparisons of the table of checkpoints."""
    return Family(row.cells.get(metric) for row in rows for metric in DIFFERENCES)


def of_methods(rows: Sequence[MethodRow]) -> Family:
    """Return the comparisons of the table of methods."""
    return Family(row.point.scores.get(metric) for row in rows for metric in OF_METHODS)


def of_refinement(effects: Sequence[Effect]) -> Family:
    """Return the comparisons of refined with plain data."""
    return Family(change for effect in effects for change in effect.changes.values())


def of_evaluations(results: Results) -> Family:
    """Return the comparisons of evaluations of the same weights."""
    return Family(difference for pair in results.evaluations for difference in pair.differences.values())
