"""What refining alignment data changed, run by run."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from safetax.report.method_table import REFINEMENT, write_refinement
from safetax.results.document import Results
from safetax.results.refinement import refinement_effects
from safetax.statistics import mean_over_runs
from tests.support.documents import with_curves


def test_a_refined_method_is_compared_with_its_source_run_by_run(few: Results, tmp_path: Path) -> None:
    effects = refinement_effects(few)
    assert [(each.refined, each.plain, each.epochs) for each in effects] == [
        ("dgr_direct_refusal", "direct_refusal", epochs) for epochs in (1.0, 5.0)
    ]
    scores = {
        (each.dataset, each.seed): each.scores["safety_tax"].value
        for each in few.checkpoints
        if each.epochs == 5 and each.role == "aligned"
    }
    by_hand = [scores["dgr_direct_refusal", seed] - scores["direct_refusal", seed] for seed in (0, 1)]
    change = effects[1].changes["safety_tax"]
    assert change.values == pytest.approx(by_hand) and effects[1].pairs == 2
    assert change.mean == pytest.approx(sum(by_hand) / 2)
    over = mean_over_runs(by_hand)
    assert change.interval is not None and over is not None and change.p is not None
    reach = (max(-100.0, over.low), min(100.0, over.high))
    assert (change.interval.low, change.interval.high) == pytest.approx(reach, rel=1e-4)
    assert (change.p < 0.05) == (not over.low <= 0 <= over.high)
    write_refinement(few, tmp_path)
    (first, last) = csv.DictReader((tmp_path / REFINEMENT).read_text().splitlines())
    assert (first["epochs"], last["refined"], last["pairs"]) == ("1", "dgr_direct_refusal", "2")
    assert float(last["safety_tax"]) == pytest.approx(change.mean, abs=1e-6)
    alone = with_curves(few, (curve for curve in few.curves if curve.dataset != "direct_refusal"))
    others = (each for each in alone.checkpoints if each.dataset != "direct_refusal")
    alone = replace(alone, checkpoints=tuple(others))
    write_refinement(alone, tmp_path)
    assert refinement_effects(alone) == [] and not (tmp_path / REFINEMENT).exists()
