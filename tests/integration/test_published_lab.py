"""The lab gives what its pages say it gives, on any machine: one LRM seed against the published ten."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from safetax.results.collect import collect
from safetax.results.metrics import ACCURACY, HARMFUL_SCORE, RETENTION_LOSS, SAFETY_TAX
from safetax.statistics.limits import t_quantile
from tests.support.places import ROOT

COLUMNS = {
    ACCURACY: "Accuracy",
    SAFETY_TAX: "Safety tax",
    RETENTION_LOSS: "Retention lost",
    HARMFUL_SCORE: "Harmful score",
}
CONFIDENCE = 0.99
ROUNDED = 0.6
"""Points that a published value may be off by, and by which one prompt of 200 moves a score."""


def published(page: Path, method: str) -> tuple[dict[str, tuple[float, float]], int]:
    """Return mean and standard deviation of each metric in a method's row of a page's table, and the number of runs."""
    lines = page.read_text(encoding="utf-8").splitlines()
    (at,) = [number for number, line in enumerate(lines) if re.match(r"\|.*\| *Safety tax *\|.*\| *Runs *\|", line)]
    names = [cell.strip() for cell in lines[at].strip("|").split("|")]
    for line in lines[at + 2 :]:
        cells = dict(zip(names, (cell.strip() for cell in line.strip("|").split("|")), strict=False))
        if cells[names[0]] == method:
            break
    else:
        raise AssertionError(f"{page} has no row of {method}")
    found = {}
    for metric, name in COLUMNS.items():
        mean, sd = (float(part.replace("−", "-")) for part in cells[name].rstrip("*").split(" ± "))
        found[metric] = mean, sd
    return found, int(cells["Runs"])


@pytest.mark.slow
def test_a_run_of_today_lies_where_the_published_ones_let_expect(tmp_path: Path) -> None:
    chosen = ["epochs=5", "benchmark=[lab_reasoning,lab_harmful]", "tracking=off", "seed=0", "lrm_seed=0"]
    subprocess.run(
        [sys.executable, "-m", "safetax", *chosen, f"runtime.outputs={tmp_path / 'outputs'}"],
        cwd=ROOT,
        check=True,
        timeout=900,
    )
    results = collect([tmp_path / "outputs"]).results
    (aligned,) = [each for each in results.checkpoints if each.role == "aligned"]
    expected, runs = published(ROOT / "docs" / "lab-methods.md", "direct_refusal")
    assert runs == 10
    reach = float(t_quantile(runs - 1, CONFIDENCE)) * math.sqrt(1 + 1 / runs)
    for metric, (mean, sd) in expected.items():
        value = aligned.scores[metric].value
        assert abs(value - mean) <= reach * sd + ROUNDED, (metric, value, mean, sd)
