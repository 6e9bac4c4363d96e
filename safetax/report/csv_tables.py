"""Tables for programs alone: what refinement changed, and what trainings cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetax.formatting import epochs_text
from safetax.report.table_files import write_csv
from safetax.results.document import Results
from safetax.results.metrics import OF_REFINEMENT
from safetax.results.provenance import COLUMNS
from safetax.results.refinement import refinement_effects

REFINEMENT = "refinement.csv"


def write_refinement(results: Results, directory: Path) -> None:
    """Write ``refinement.csv`` where refined data can be compared; else the file of earlier results goes."""
    effects = refinement_effects(results)
    if not effects:
        (directory / REFINEMENT).unlink(missing_ok=True)
        return
    parts = ("", "_low", "_high")
    head = ["model", "refined", "plain", "epochs", "pairs"]
    rows = []
    for effect in effects:
        numbers: list[float | None] = []
        for metric in OF_REFINEMENT:
            change = effect.changes.get(metric)
            ends = change and change.interval
            numbers.append(round(change.mean, 6) + 0.0 if change else None)
            numbers += [round(ends.low, 6), round(ends.high, 6)] if ends else [None, None]
        rows.append([effect.model, effect.refined, effect.plain, epochs_text(effect.epochs), effect.pairs, *numbers])
    write_csv(directory / REFINEMENT, [*head, *(f"{name}{part}" for name in OF_REFINEMENT for part in parts)], rows)


def write_costs(rows: Sequence[Mapping[str, Any]], directory: Path) -> Path:
    """Write ``cost.csv`` into the folder and return its path; what is not known is empty."""
    return write_csv(directory / "cost.csv", COLUMNS, [[row[column] for column in COLUMNS] for row in rows])
