"""What run records say: steps, settings, and which runs newer ones replace."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from safetax.config.flat import leaves
from safetax.report.build import build_report
from safetax.results.collect import collect
from safetax.results.reader import read_json
from safetax.results.record import shared_and_own
from tests.support.edits import copy, edit, run_file


def test_of_runs_that_the_same_settings_made_anew_the_newest_counts(one_seed: Path, tmp_path: Path) -> None:
    """As behind a new version of a step's rules, or an edited file: it is no second seed."""
    outputs = copy(one_seed, tmp_path / "outputs")
    file = run_file(outputs, "safechain-e5")
    other = copy(file.parent, file.parent.with_name("made-anew"))
    seen: list[str] = []

    def anew(run: dict[str, Any]) -> None:
        run["name"] = "made-anew"
        for evaluation in run["checkpoints"][-1]["evaluations"]:
            for judge, fingerprint in evaluation["scores"].items():
                place = outputs / "score" / fingerprint
                evaluation["scores"][judge] = f"{fingerprint[:-1]}x"
                shutil.copytree(place, place.with_name(evaluation["scores"][judge]))
                edit(place.with_name(evaluation["scores"][judge]) / "manifest.json", later)
        seen.append(run["name"])

    def later(manifest: dict[str, Any]) -> None:
        manifest["fingerprint"] = f"{manifest['fingerprint'][:-1]}x"
        manifest["provenance"]["finished"] = "2027-01-02T03:04:05+00:00"

    edit(other / "run.json", anew)
    document = collect([outputs]).results
    assert seen and document.replaced == (read_json(file)["name"],)
    assert all(point.bars == "interval" for curve in document.curves for point in curve.points)
    assert "made-anew" in {run.name for run in document.runs}
    page = build_report(collect([outputs]), tmp_path / "report").read_text(encoding="utf-8")
    assert f"Left out:</strong> 1 run, replaced by newer ones of\nthe same settings ({document.replaced[0]})" in page


def test_settings_are_split_into_shared_and_own() -> None:
    records = [
        {"name": "a", "config": {"seed": 0, "model": {"name": "x", "sizes": [1, 2]}, "only": {"kind": 1}}},
        {"name": "b", "config": {"seed": 1, "model": {"name": "x", "sizes": [1, 2]}, "list": [{"k": True}]}},
    ]
    shared, runs = shared_and_own(records)
    assert shared == [("model.name", "x"), ("model.sizes", "[1, 2]")]
    assert runs[0] == ("a", [("only.kind", "1"), ("seed", "0")])
    assert runs[1] == ("b", [("list.0.k", "true"), ("seed", "1")])
    assert dict(leaves({"a": {}, "b": []})) == {"a": {}, "b": []}
